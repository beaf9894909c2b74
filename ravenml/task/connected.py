"""A mapping that ``Task.connect`` has recorded, and that records what the script sets in it later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from ravenml.task import parameters


class ConnectedDict(dict[Any, Any]):
    """What ``Task.connect`` returns of a dictionary; it is one, and copies and pickles are plain ones.

    Args:
        values: what it holds.
        section: that of its names; see :func:`ravenml.task.parameters.record`.
        overridden: whether a name that is new gets the value of ``raven runs clone --set``.
    """

    def __init__(
        self, values: Mapping[Any, Any], section: str | None = None, overridden: bool = True
    ) -> None:
        super().__init__(values)
        self._section, self._overridden = section, overridden
        self._tell: Callable[[Iterable[Any]], None] = self._record  # is given the names that have changed
        self._connect_inner(self)

    def _record(self, names: Iterable[Any]) -> None:
        parameters.record({name: self[name] for name in names}, self._section, often=True)

    def _connect_inner(self, names: Iterable[Any]) -> None:
        """Dictionaries in it tell of their changes, too."""
        for name in names:
            if type(self[name]) is dict:
                inner = ConnectedDict(self[name], self._section, overridden=False)
                inner._tell = partial(self._tell_of_inner, name)
                super().__setitem__(name, inner)

    def _tell_of_inner(self, name: Any, _: Iterable[Any]) -> None:
        self._tell([name])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.update({key: value})

    def update(self, *values: Any, **more: Any) -> None:
        """As of any dictionary; what is set is recorded."""
        new = dict(*values, **more)
        if self._overridden:
            new |= parameters.find_overridden({k: v for k, v in new.items() if k not in self}, self._section)
        super().update(new)
        self._connect_inner(new)
        self._tell(new)

    def __ior__(self, values: Any) -> ConnectedDict:  # type: ignore[misc]
        self.update(values)
        return self

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """As of any dictionary; what is set is recorded."""
        if key not in self:
            self[key] = default
        return self[key]

    def __reduce__(self) -> tuple[type[dict[Any, Any]], tuple[dict[Any, Any]]]:
        return dict, (dict(self),)
