"""The dashboard's side of plugins' helpers: asks, waits, and starts a helper that died again."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress

import orjson

from ravenml.common.io import JsonObject
from ravenml.dashboard.processes import without_token
from ravenml.errors import RavenError

_PATIENCE = 90.0  # seconds for an answer; the first one may have to import a framework
_LONGEST = 1 << 24  # bytes of an answer


class Helper:
    """One plugin's helper process; questions are answered one after the other."""

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._asking: set[asyncio.Task[JsonObject]] = set()
        self._described: JsonObject | None = None

    async def describe(self) -> JsonObject:
        """What `ravenml.train.form.describe_settings` says of the plugin's settings; asked once.

        Raises:
            RavenError: the plugin publishes none, or breaks.
        """
        if self._described is None:
            self._described = await self.ask(ask="describe")
        return self._described

    async def ask(self, **question: object) -> JsonObject:
        """The answer.

        Raises:
            RavenError: the helper says so, died, or took too long.
        """
        # Whoever asks may go away (another step is opened).  The answer is awaited all the same: left in the
        # pipe, it would be given to whoever asks next.
        task = asyncio.create_task(self._answer(question))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        answer = await asyncio.shield(task)
        error_text = answer.pop("error", None)
        if error_text is not None:
            raise RavenError(error_text)
        return answer

    async def _answer(self, question: JsonObject) -> JsonObject:
        async with self._turn:
            try:
                return await asyncio.wait_for(self._exchange(question), _PATIENCE)
            except (TimeoutError, OSError, EOFError, ValueError) as error:
                self.close()
                reason = "took too long" if isinstance(error, TimeoutError) else "ended unexpectedly"
                raise RavenError(
                    f"The plugin {self.plugin!r} did not describe its settings: its process {reason}; "
                    f"`raven plugin check {self.plugin}` may show the reason."
                ) from None

    async def _exchange(self, question: JsonObject) -> JsonObject:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "ravenml.train.helper", self.plugin),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={**without_token(os.environ), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
                limit=_LONGEST,
                start_new_session=True,
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(orjson.dumps(question, default=str) + b"\n")
        await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        if not line:
            raise EOFError
        answer: JsonObject = orjson.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            self._process = None
