"""Ordered collections of named things.  Nothing is ever changed: each method gives a new collection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, Protocol, Self, TypeVar


class Named(Protocol):
    """Something with a name."""

    @property
    def name(self) -> str:
        """Under which it is found."""
        ...

    def to_json(self) -> Any:
        """As JSON."""
        ...


T = TypeVar("T", bound=Named)


class Collection(Generic[T]):
    """Things by name, in order.

    Attributes:
        unique: whether a name may be there only once.
    """

    unique = True

    def __init__(self, items: Iterable[T] | None = None) -> None:
        self._items: list[T] = []
        for item in items or ():
            if self.unique and self.has_key(item.name):
                raise KeyError(f"{item.name!r} is there already.")
            self._items.append(item)

    def get(self, key: str, default: T | None = None) -> T | None:
        """The (first) thing of that name."""
        return next((item for item in self._items if item.name == key), default)

    def has_key(self, key: str) -> bool:
        """Whether something of that name is there."""
        return self.get(key) is not None

    def keys(self) -> list[str]:
        """The names."""
        return [item.name for item in self._items]

    def items(self) -> list[T]:
        """The things."""
        return list(self._items)

    def add(self, item: T) -> Self:
        """With one more."""
        return type(self)([*self._items, item])

    def add_items(self, items: Iterable[T]) -> Self:
        """With some more."""
        return type(self)([*self._items, *items])

    def remove_items(self, names: Iterable[str]) -> Self:
        """Without those of these names."""
        gone = set(names)
        return type(self)(item for item in self._items if item.name not in gone)

    def merge(self, other: Collection[T]) -> Self:
        """With what another has beyond this one.

        Raises:
            ValueError: both have something of one name that is not the same.
        """
        for item in other:
            mine = self.get(item.name)
            if mine is not None and mine != item:
                raise ValueError(f"{item.name!r} is there in both, but is not the same.")
        return self.add_items(item for item in other if not self.has_key(item.name))

    def clone(self) -> Self:
        """The same."""
        return type(self)(self._items)

    def to_json(self) -> list[Any]:
        """As a list of JSON objects."""
        return [item.to_json() for item in self._items]

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._items == other._items

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._items!r})"
