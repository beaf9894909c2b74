"""A draft made from a run: what it was told to do, less what is the default anyway."""

from __future__ import annotations

from asyncio import to_thread
from typing import Any

from ravenml.dashboard.train.draft import Draft, new_draft, put, value_at
from ravenml.dashboard.train.export import from_run
from ravenml.dashboard.train.wizard import Shared
from ravenml.errors import RavenError
from ravenml.runs.layout import find_run


async def draft_of_run(run_id: str, shared: Shared) -> Draft:
    """Make and keep it.

    Raises:
        RavenError: there is no such run, or it was no training.
    """
    fields = await to_thread(lambda: from_run(find_run(run_id)))
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
