"""A draft made from a run or a file: what it was told to do, less what is the default anyway."""

from __future__ import annotations

from asyncio import to_thread
from typing import Any

from ravenml.dashboard.train.draft import Draft, new_draft, put, value_at
from ravenml.dashboard.train.draft_import import from_run, from_text
from ravenml.dashboard.train.wizard import Shared
from ravenml.errors import RavenError
from ravenml.runs.layout import find_run


async def draft_of_run(run_id: str, shared: Shared) -> Draft:
    """Make and keep it.

    Raises:
        RavenError: there is no such run, or it was no training.
    """
    return await _draft(await to_thread(lambda: from_run(find_run(run_id))), shared)


async def draft_of_file(text: str, name: str, shared: Shared) -> Draft:
    """Make and keep it; see :func:`from_text`.

    Raises:
        RavenError: it is not a file of settings.
    """
    return await _draft(await to_thread(from_text, text, name), shared)


async def _draft(fields: dict[str, Any], shared: Shared) -> Draft:
    if fields["plugin"] is not None and fields["preset"] is None:  # a preset would fill what is left out
        try:
            form = await shared.helper(fields["plugin"]).describe()
            fields["settings"] = sparse(fields["settings"], form)
        except RavenError:
            pass  # the plugin is gone, or publishes nothing: all is kept as it is
    return await to_thread(lambda: new_draft(**fields))


def sparse(settings: dict[str, Any], form: dict[str, Any]) -> dict[str, Any]:
    """The settings that differ from the plugin's defaults."""
    kept: dict[str, Any] = {}
    absent = object()
    for field in form["fields"]:
        value = value_at(settings, field["name"], absent)
        if value is not absent and value is not None and value != field["default"]:
            put(kept, field["name"], value)
    return kept
