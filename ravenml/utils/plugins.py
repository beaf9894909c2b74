"""What plugin authors import beside the interfaces: asking for metadata, importing a framework late."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ravenml.common.formatting import utc_timestamp
from ravenml.errors import RavenError
from ravenml.renamed import former_names


class MissingPackage(RavenError, ImportError):
    """A package that a plugin needs is not installed; the sentence names the command that installs it."""


def fill_basic_metadata(
    train: Any, *given: Any, name: str | None = None, comments: str | None = None
) -> dict[str, Any]:
    """Fill in who trains and why: ``created_by`` and ``comments`` of a training's metadata.

    What was given as an argument (the plugin's own flags) counts first, then what the config has
    (``metadata:`` of ``raven train -c FILE``).  Only what is still missing is asked for, and only on a
    terminal; elsewhere it stays open.  An empty answer leaves it open too.

    Args:
        train: the ``TrainInput``, or its ``metadata``.
        given: ``name`` and ``comments`` by position; or, as plugins of ravenML 1 call it, the dataset before
            them: when the training began and what it is trained on are then filled in too.
        name: who trains.
        comments: what is worth remembering of this training.

    Returns:
        The metadata, changed in place.
    """
    metadata: dict[str, Any] = train if isinstance(train, dict) else train.metadata
    if given and not isinstance(given[0], str | None):
        dataset, given = given[0], given[1:]
        metadata["date_started_at"] = utc_timestamp()
        metadata["dataset_used"] = dataset.metadata
    name = given[0] if given else name
    comments = given[1] if len(given) > 1 else comments
    wanted = {"created_by": (name, "Your name"), "comments": (comments, "Comments on this training")}
    can_ask = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    for field, (answer, question) in wanted.items():
        if answer:
            metadata[field] = answer
        elif not metadata.get(field):
            metadata[field] = (_ask(question) if can_ask else "") or None
    return metadata


def _ask(question: str) -> str:
    import click

    return str(click.prompt(question, default="", show_default=False)).strip()


def lazy_import(name: str, install: str | None = None) -> Any:
    """A module that is imported at its first use::

        if TYPE_CHECKING:
            import tensorflow as tf  # what a type checker and an editor see
        else:
            tf = lazy_import("tensorflow")

    Args:
        name: the module, such as ``tensorflow`` or ``torch.nn.functional``.
        install: the command that installs it; by default the caller's own ``install.sh``, or pip.

    Returns:
        A stand-in with the module's attributes.  Using one while the package is missing raises
        :class:`MissingPackage`, which is an ``ImportError`` too.
    """
    if name in sys.modules:
        return sys.modules[name]
    caller = sys._getframe(1).f_globals.get("__name__", "")
    return _LazyModule(name, install, caller)


class _LazyModule(ModuleType):
    """Stands in for a module until its first attribute is used."""

    def __init__(self, name: str, install: str | None, caller: str) -> None:
        super().__init__(name)
        self.__dict__["_lazy"] = (install, caller)

    def __getattr__(self, attribute: str) -> Any:
        # inspection by Python itself (`__path__`, `__wrapped__` …) is not a use of the module
        if attribute.startswith("__") and attribute not in ("__version__", "__file__", "__all__"):
            raise AttributeError(
                f"module {self.__name__!r} has no attribute {attribute!r} before its first use"
            )
        value = getattr(_load(self.__name__, *self.__dict__["_lazy"]), attribute)
        return value

    def __setattr__(self, attribute: str, value: Any) -> None:
        if attribute.startswith("__"):
            super().__setattr__(attribute, value)
        else:
            setattr(_load(self.__name__, *self.__dict__["_lazy"]), attribute, value)

    def __dir__(self) -> list[str]:
        return dir(_load(self.__name__, *self.__dict__["_lazy"]))

    def __repr__(self) -> str:
        loaded = "" if self.__name__ in sys.modules else ", not imported yet"
        return f"<lazy module {self.__name__!r}{loaded}>"


def _load(name: str, install: str | None, caller: str) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) and error.name else None
        command = install or _install_command(caller, (missing or name).split(".")[0])
        package = name.split(".")[0]
        if missing is not None and missing.split(".")[0] == package:
            what = f"{package} is not installed"
        elif missing is not None:
            what = f"{name} needs {missing}, which is not installed"
        else:
            what = f"{name} is installed but cannot be imported ({' '.join(str(error).split()).rstrip('.')})"
        raise MissingPackage(f"{what}; install it with `{command}`.", name=name) from error


def _install_command(caller: str, package: str) -> str:
    """The caller's ``install.sh``, where it runs from its folder; else pip."""
    top = sys.modules.get(caller.split(".")[0])
    file = getattr(top, "__file__", None)
    if file:
        script = Path(file).resolve().parent.parent / "install.sh"
        if script.is_file():
            return str(script)
    return f"pip install {package}"


__getattr__ = former_names(
    __name__, {"raise_parameter_error": "ravenml.compat.prompts.raise_parameter_error"}
)
