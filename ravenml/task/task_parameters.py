"""Parameters that a class declares, under ClearML's names: ``task.connect`` takes its objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ravenml.errors import InputError
from ravenml.task.names import ClearMLName


class param:
    """A parameter of a class.

    Args:
        type: makes its value of what is set; values of any type without it.
        desc: says what it is for.
        range: the least and the greatest value.
        default: its value where none is given.
    """

    def __init__(
        self,
        type: Callable[[Any], Any] | None = None,
        desc: str | None = None,
        range: tuple[float, float] | None = None,
        default: Any = None,
        **_: object,
    ) -> None:
        self._type, self._range, self.default, self.__doc__ = type, range, default, desc

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> Any:
        return self if instance is None else vars(instance).get(self._name, self.default)

    def __set__(self, instance: object, value: Any) -> None:
        try:
            made = value if self._type is None or value is None else self._type(value)
        except (TypeError, ValueError) as error:
            raise InputError(f"{self._name} cannot be {value!r}: {error}.") from None
        if self._range is not None and made is not None and not self._range[0] <= made <= self._range[1]:
            raise InputError(f"{self._name} is {made}; it must be from {self._range[0]} to {self._range[1]}.")
        vars(instance)[self._name] = made


def percent_param(desc: str | None = None, **more: Any) -> Any:
    """A parameter from 0 to 1."""
    return param(type=float, desc=desc, range=(0, 1), **more)


class TaskParameters(ClearMLName):
    """The base of classes whose attributes are :class:`param`.

    Raises:
        InputError: a value is not one of the parameter's.
    """

    def __init__(self, **values: Any) -> None:
        declared = self._declared()
        for name in values.keys() - declared.keys():
            raise InputError(
                f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(declared)}."
            )
        for name, one in declared.items():
            setattr(self, name, values.get(name, one.default))

    def to_dict(self) -> dict[str, Any]:
        """The values by name."""
        return {name: getattr(self, name) for name in self._declared()}

    def update_from_dict(self, source_dict: Mapping[str, Any]) -> None:
        """Set the values of those that are named."""
        for name, value in source_dict.items():
            setattr(self, name, value)

    @classmethod
    def _declared(cls) -> dict[str, param]:
        found = {name: one for base in reversed(cls.__mro__) for name, one in vars(base).items()}
        return {name: one for name, one in found.items() if isinstance(one, param)}
