"""Runs a plugin's program and outlives the agent: its output goes to files, and so does its exit code.

Started as ``python -I -S supervisor.py FOLDER COMMAND…`` with the standard library alone.  While it holds
``FOLDER/alive``, the program runs; when it ends, ``FOLDER/exit`` holds its code.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys

SOCKET = "RAVENML_SERVE_SOCKET"


def main(folder: str, program: list[str]) -> None:
    """Run ``program`` to its end; whatever asks this process to end is meant for the program."""
    alive = os.open(os.path.join(folder, "alive"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(alive, fcntl.LOCK_EX)
    os.ftruncate(alive, 0)
    os.write(alive, f"{os.getpid()}\n".encode())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # a handler, not SIG_IGN, which the program would inherit
    with (
        open(os.path.join(folder, "stdout"), "ab") as out,
        open(os.path.join(folder, "stderr"), "ab") as err,
    ):
        try:
            # A deployed model's open socket, which the agent hands on.
            handed = [int(os.environ[SOCKET])] if SOCKET in os.environ else []
            code = subprocess.run(
                program, stdin=subprocess.DEVNULL, stdout=out, stderr=err, pass_fds=handed
            ).returncode
        except OSError as error:
            err.write(f"{program[0]} cannot be started: {error.strerror}.\n".encode())
            code = 127
    # Written beside and renamed, so that the agent never reads half a number.
    with open(os.path.join(folder, "exit.part"), "w") as file:
        file.write(f"{code}\n")
    os.replace(os.path.join(folder, "exit.part"), os.path.join(folder, "exit"))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
