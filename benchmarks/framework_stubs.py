"""Stubs for frameworks that are not installed, in the environments of `old_plugins.py`.

A module that a plugin's code imports and nobody has becomes a stub.  A stub takes every call, can be a base
class, a decorator, a number, a sequence, and writes an empty file where a call is told to save one.

    python -m framework_stubs train …      as `raven train …`, and notes that a command has got its TrainInput
"""

from __future__ import annotations

import dis
import io
import os
import sys
import tarfile
import tempfile
import urllib.request
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FrameType, FunctionType, ModuleType
from typing import Any

PLUGIN = Path(os.environ.get("OLD_PLUGIN", "/nowhere"))
DECORATORS = ("function", "no_grad", "jit", "script", "autograph", "register_keras_serializable")
SAVES = (
    *("save", "export", "dump", "write", "log", "fit", "train", "serialize", "create", "load", "checkpoint"),
)
# What TensorFlow's estimator, and the exporter of its object detection, leave in a folder.
ESTIMATOR = (
    *("model.ckpt-7.index", "model.ckpt-7.meta", "graph.pbtxt", "events.out.tfevents.1"),
    *("eval_0/events.out.tfevents.2", "export/exported_model/1/saved_model.pb"),
)
EXPORT = ("frozen_inference_graph.pb", "saved_model/saved_model.pb")
UNPACK = dis.opmap["UNPACK_SEQUENCE"]


class _Base:
    """What a class inherits whose base is a stub."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Stub(name)


class _AttrDict(dict[str, Any]):
    """As that of the package attrdict, which no Python since 3.10 can import."""

    def __getattr__(self, name: str) -> Any:
        if name not in self:
            raise AttributeError(name)
        return _AttrDict(self[name]) if isinstance(self[name], dict) else self[name]


class Stub:
    """Stands for whatever a framework has."""

    def __init__(self, name: str) -> None:
        self.__dict__["_name"] = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = self.__dict__[name] = Stub(name)
        return found

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._name in DECORATORS and len(args) == 1 and isinstance(args[0], FunctionType):
            args[0].get_concrete_function = Stub("get_concrete_function")  # type: ignore[attr-defined]
            return args[0]
        if self._name == "AttrDict":
            return _AttrDict(*args)
        if self._name == "RunConfig":  # TensorFlow's estimator, which trains in a folder
            _estimator_folders.append(Path(str(kwargs.get("model_dir", tempfile.gettempdir()))))
        elif self._name == "train_and_evaluate":
            _write_files(_estimator_folders[-1], ESTIMATOR)
        elif self._name == "export_inference_graph":
            folders = [Path(value) for value in args if isinstance(value, str) and os.path.isabs(value)]
            _write_files(folders[-1], EXPORT)
        elif self._name == "save":  # TensorFlow's saved_model, which writes a folder
            for value in args:
                if isinstance(value, str) and os.path.isabs(value) and not Path(value).suffix:
                    _write_files(Path(value), ("saved_model.pb",))
        elif self._name == "main":  # deeplab, which reads the command line
            for word in sys.argv:
                if word.startswith("--train_logdir="):
                    _write_files(Path(word.partition("=")[2]), ("checkpoint", "model.ckpt-7.index"))
        if any(word in self._name.lower() for word in SAVES):
            for value in (*args, *kwargs.values()):
                _write(value)
        return Stub(self._name)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return () if any(isinstance(base, type) and issubclass(base, _Base) for base in bases) else (_Base,)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """One that may be changed, as a plugin does with a framework's class, and no other stub has."""
        return type(self._name, (Stub,), {})

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Stub, (self._name,)

    def __instancecheck__(self, instance: Any) -> bool:
        return False

    __subclasscheck__ = __instancecheck__

    def __iter__(self) -> Any:
        """As many as an unpacking wants, else one."""
        frame: FrameType = sys._getframe(1)
        code, at = frame.f_code.co_code, frame.f_lasti
        return _Elements(self._name, code[at + 1] if code[at] == UNPACK else 1)

    def __next__(self) -> Any:
        return Stub(self._name)

    def __getitem__(self, key: Any) -> Any:
        return Stub(self._name)

    def keys(self) -> list[str]:
        """For a call with ``**`` of it."""
        return ["key"]

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def __fspath__(self) -> str:
        """A file that exists."""
        path = Path(tempfile.gettempdir(), f"stub_{os.getpid()}_{self._name}")
        path.touch()
        return os.fspath(path)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        import numpy as np

        return np.ones(1)

    def _same(self, *others: Any) -> Any:
        return Stub(self._name)

    def _one(self) -> int:
        return 1

    def __float__(self) -> float:
        return 1.0

    def __format__(self, spec: str) -> str:
        return self._name

    def __bool__(self) -> bool:
        return True

    def __contains__(self, item: Any) -> bool:
        return True

    __len__ = __int__ = __index__ = __hash__ = _one
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _same
    __floordiv__ = __mod__ = __pow__ = __matmul__ = __neg__ = __lt__ = __le__ = __gt__ = __ge__ = _same


class _Elements:
    """Iterates over so many stubs; ``next()``, as some frameworks' iterators have it, never ends."""

    def __init__(self, name: str, left: int) -> None:
        self.name = name
        self.left = left

    def __iter__(self) -> _Elements:
        return self

    def __next__(self) -> Stub:
        self.left -= 1
        if self.left < 0:
            raise StopIteration
        return self.next()

    def next(self) -> Stub:
        return Stub(self.name)


class _Module(ModuleType):
    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = Stub(name)
        setattr(self, name, found)
        return found


class _Finder:
    """Asked last; finds what plugins' code imports, and nobody has."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        top = name.partition(".")[0]
        if isinstance(sys.modules.get(name.rpartition(".")[0]), _Module):
            return ModuleSpec(name, _Finder)  # type: ignore[arg-type]
        importer = _importer()
        if "." in name or top.startswith("raven") or not importer.is_relative_to(PLUGIN):
            return None
        if (importer.parent / f"{top}.py").exists():  # it means a module of its own, and does not find it
            return None
        return ModuleSpec(name, _Finder)  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        pass


def _importer() -> Path:
    """The file with the import that is under way."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and "importlib" in frame.f_code.co_filename:
        frame = frame.f_back
    return Path(frame.f_code.co_filename if frame is not None else "")


_estimator_folders: list[Path] = []


def _write_files(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def _write(value: Any) -> None:
    """Write an empty file where a value is a path to none, in a folder that exists or below one."""
    if isinstance(value, str | Path) and os.path.isabs(value) and Path(value).suffix:
        path = Path(value)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _retrieve(url: str, path: Any = None, *args: Any, **kwargs: Any) -> tuple[str, None]:
    """Instead of a download: an archive with the files of a checkpoint of TensorFlow's."""
    target = Path(path or tempfile.mkstemp()[1])
    folder = target.name.partition(".tar")[0]
    with tarfile.open(target, "w:gz") as tar:
        for name in ("model.ckpt.data-00000-of-00001", "model.ckpt.index", "model.ckpt.meta", "checkpoint/x"):
            tar.addfile(tarfile.TarInfo(f"{folder}/{name}"), io.BytesIO())
    return str(target), None


if "OLD_PLUGIN" in os.environ:
    sys.meta_path.append(_Finder)  # type: ignore[arg-type]
    urllib.request.urlretrieve = _retrieve  # type: ignore[assignment]


def main() -> None:
    from ravenml.cli import main as raven
    from ravenml.train.session import Session

    call = Session.call

    def noted(session: Session, function: Any) -> Any:
        def called(train: Any) -> Any:
            Path(os.environ["OLD_PLUGIN_CALLED"]).touch()
            return function(train)

        return call(session, called)

    Session.call = noted  # type: ignore[method-assign,assignment]
    sys.argv[0] = "raven"
    raven()


if __name__ == "__main__":
    main()
