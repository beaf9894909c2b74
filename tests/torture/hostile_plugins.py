"""Broken and hostile plugins and distributions, each alone and all together: the others stay usable."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from throwaway import AS_WRITTEN_TODAY, GROUP, write_plugin

from ravenml.plugin.probe import run_contained

ROOT = Path(__file__).resolve().parents[2]
TRIALS = 500
SECONDS_PER_TRIAL = 60.0
IMPORT_SECONDS = 5  # that an import may take here
LIST_SECONDS = 1.0  # that `raven train list` may take among all of them, on a core of its own
FINE = AS_WRITTEN_TODAY
LOOKED_AT = "class T:\n    @property\n    def __class__(self): "

# What a plugin's module does when it is imported, or what its object is.  `FINE` follows where it may work.
IMPORTS = {
    "segfault": "import ctypes; ctypes.string_at(0)",
    "abort": "import os; os.abort()",
    "exit_hard": "import os; os._exit(7)",
    "exit_hard_well": "import os; os._exit(0)",
    "exit": "raise SystemExit(3)",
    "kill_itself": "import os; os.kill(os.getpid(), 9)",
    "kill_parent": "import os; os.kill(os.getppid(), 9)",
    "stop_parent": "import os, signal; os.kill(os.getppid(), signal.SIGSTOP)\n" + FINE,
    "kill_group": "import os; os.kill(0, 9)",
    "terminate_parent": "import os, time; os.kill(os.getppid(), 15); time.sleep(1)",
    "swallow": "import time\nwhile True:\n    try: time.sleep(1)\n    except BaseException: pass",
    "block": "import signal, threading\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
    "lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "hold_the_interpreter": "import ctypes; ctypes.PyDLL(None).sleep(1000)",
    "busy": "while True: pass",
    "interrupt": "raise KeyboardInterrupt",
    "base_exception": "raise BaseException('x')",
    "generator_exit": "raise GeneratorExit",
    "unsayable": "class E(Exception):\n    def __str__(self): raise SystemExit(0)\nraise E",
    "says_too_much": "raise ValueError('x' * 10_000_000)",
    "escapes": "print('\\033[2J\\033]0;x\\007'); raise ValueError('\\033[31mred\\n\\ud800')",
    "no_module": "import a_module_that_is_missing",
    "syntax": "def :",
    "null_bytes": "x = 1\0",
    "recursion": "def f(): f()\nf()",
    "low_recursion": "import sys; sys.setrecursionlimit(60)\n" + FINE,
    "thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()\n" + FINE,
    "daemon_thread": "import threading, time\n"
    "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n" + FINE,
    "fork": "import os, time\nif os.fork() == 0: time.sleep(1000)\n" + FINE,
    "fork_twice": "import os\nos.fork(); os.fork()\n" + FINE,
    "close_stdout": "import os, sys\nos.close(1); sys.stdout.close()\n" + FINE,
    "close_everything": "import os\nos.closerange(0, 1000)\n" + FINE,
    "silence": "import os\nos.dup2(os.open(os.devnull, os.O_WRONLY), 2)\n" + FINE,
    "replace_streams": "import sys\nsys.stdout = sys.stderr = None\n" + FINE,
    "chdir": "import os\nos.chdir('/')\n" + FINE,
    "handlers": "import signal\nfor n in (1, 2, 14, 15, 17): signal.signal(n, signal.SIG_IGN)\n" + FINE,
    "flood": "for _ in range(20_000): print('x' * 100)\n" + FINE,
    "reads": "input(); import sys; sys.stdin.read()\n" + FINE,
    "at_exit": "import atexit, os\natexit.register(os._exit, 9)\nraise ValueError('x')",
    "no_path": "import sys\nsys.path.clear()\n" + FINE,
    "no_environment": "import os\nos.environ.clear()\n" + FINE,
    "replaces_itself": "import sys\nsys.modules[__name__] = 3",
    "lies": "def __getattr__(name): raise RuntimeError(name)",
    "is_module": "import os as my_plugin",
    "is_function": "def my_plugin(): pass",
    "is_class": "import click\nclass my_plugin(click.Group): pass",
    "is_number": "my_plugin = 42",
    "is_none": "my_plugin = None",
    "pretends": f"import click\n{LOOKED_AT}return click.Group\nmy_plugin = T()",
    "raises_when_looked_at": f"{LOOKED_AT}raise OSError('x')\nmy_plugin = T()",
    "commands_are_a_list": GROUP + "\nmy_plugin.commands = [1, 2]",
    "commands_are_numbers": GROUP + "\nmy_plugin.commands = {'train': 3}",
    "commands_are_itself": GROUP + "\nmy_plugin.add_command(my_plugin, 'train')",
    "params_are_text": FINE + "\nmy_plugin.params = 'abc'; my_plugin.commands['train'].params = 7",
    "help_raises": GROUP + "\ndef f(*a): raise ValueError('\\033[1mx')\n"
    "my_plugin.get_help = f\nmy_plugin.invoke = f",
    "help_escapes": FINE + "\nmy_plugin.help = '\\033]0;x\\007\\033[2Jtext \\ud800'",
    "help_is_a_number": FINE + "\nmy_plugin.help = 3",
    "context_raises": GROUP + "\ndef f(*a, **k): raise RuntimeError('x')\nmy_plugin.make_context = f",
    "callback_raises": GROUP + "\n@my_plugin.command()\n@(lambda f: 1 / 0)\ndef train(): pass",
    "same_options": FINE + "\n"
    "for name in ('--dataset', '--resume', '--fold', '--help', '-c'):\n"
    "    my_plugin.commands['train'].params.append(click.Option([name, 'x' + name.strip('-')]))",
}  # fmt: skip

Layer = Callable[[Path, str], None]


def _code(code: str) -> Layer:
    """A plugin whose module is this."""
    return lambda site, name: write_plugin(site, name, code)


def _points(text: str | bytes) -> Layer:
    """A distribution with this ``entry_points.txt``; NAME stands for the plugin's name."""

    def lay(site: Path, name: str) -> None:
        write_plugin(site, name, FINE)
        content = text.encode() if isinstance(text, str) else text
        _info(site, name, "entry_points.txt").write_bytes(content.replace(b"NAME", name.encode()))

    return lay


def _metadata(text: str | bytes) -> Layer:
    """A distribution with these ``METADATA``."""

    def lay(site: Path, name: str) -> None:
        write_plugin(site, name, FINE)
        content = text.encode() if isinstance(text, str) else text
        _info(site, name, "METADATA").write_bytes(content.replace(b"NAME", f"ravenml_{name}".encode()))

    return lay


def _instead(file: str, make: Callable[[Path], object]) -> Layer:
    """A distribution with something else in the place of a file of its metadata."""

    def lay(site: Path, name: str) -> None:
        write_plugin(site, name, FINE)
        path = _info(site, name, file)
        path.unlink(missing_ok=True)
        make(path)

    return lay


def _folder(make: Callable[[Path], object]) -> Layer:
    """Something else in the place of the folder of metadata."""
    return lambda site, name: void(make(site / f"ravenml_{name}-1.0.dist-info"))


def _info(site: Path, name: str, file: str) -> Path:
    return site / f"ravenml_{name}-1.2.dist-info" / file


def _module(group: str, code: str) -> Layer:
    """An entry point of another group, whose module does this."""

    def lay(site: Path, name: str) -> None:
        points = f"[ravenml.{group}]\n{name} = ravenml_{name}.other:Thing"
        write_plugin(site, name, FINE, files={"other.py": code}, more_entry_points=points)

    return lay


def _many(site: Path, name: str) -> None:
    for number in range(1500):
        info = site / f"{name}_{number}-1.dist-info"
        info.mkdir()
        (info / "entry_points.txt").write_text(f"[ravenml.plugins.train]\nx{number} = y:z\n")


def _twins(site: Path, name: str) -> None:
    write_plugin(site, name, FINE, distribution=f"{name}_one")
    write_plugin(site, name, FINE, distribution=f"{name}_two")


def void(_: object) -> None:
    """Nothing."""


POINT = "[ravenml.plugins.train]\nNAME = ravenml_NAME.core:my_plugin\n"
BAD_NAMES = ("\033[2J", "a b", "-h", "--help", "../x", "\u202ex", "x" * 9999)
OTHER_GROUPS = ("plugins.settings", "plugins.predict", "plugins.data", "plugins.track", "unet.models")
OTHER_CODE = {"exits": "import os; os._exit(1)", "is_wrong": "Thing = 3", "loops": "while 1: pass"}
LAYERS: dict[str, Layer] = {
    **{name: _code(code) for name, code in IMPORTS.items()},
    "no_equals": _points(POINT + "no equals sign\n"),
    "no_value": _points(POINT + "x =\n"),
    "no_name": _points(POINT + "= x:y\n"),
    "others_scripts": _points(POINT + "[console_scripts]\nfoo\n"),
    "points_utf16": _points(POINT.encode("utf-16")),
    "points_latin": _points(POINT.encode() + "\n# fü\n".encode("latin-1")),
    "points_with_mark": _points(POINT.encode("utf-8-sig")),
    "points_null": _points(POINT + "a\0b = c\0d:e\n"),
    "points_large": _points(POINT + "# x\n" * 2_000_000),
    "points_binary": _points(bytes(range(256)) * 100),
    "bad_value": _points("[ravenml.plugins.train]\nNAME = a b c\n"),
    "dots": _points("[ravenml.plugins.train]\nNAME = ..:x\n"),
    "missing_object": _points("[ravenml.plugins.train]\nNAME = ravenml_NAME.core:nothing.at.all\n"),
    "missing_module": _points("[ravenml.plugins.train]\nNAME = nowhere.core:x\n"),
    "bad_names": _points(POINT + "".join(f"{name} = x:y\n" for name in BAD_NAMES)),
    "own_name": _points(POINT + "list = ravenml_NAME.core:my_plugin\n"),
    "same_name_twice": _points(POINT + "NAME = x:y\n"),
    "no_metadata": _instead("METADATA", void),
    "metadata_empty": _metadata(""),
    "metadata_nameless": _metadata("Metadata-Version: 2.1\nVersion: 1\n"),
    "metadata_versionless": _metadata("Metadata-Version: 2.1\nName: NAME\n"),
    "metadata_latin": _metadata("Name: NAME\nVersion: 1\nAuthor: Fü\n".encode("latin-1")),
    "metadata_utf16": _metadata("Name: NAME\nVersion: 1\n".encode("utf-16")),
    "metadata_escapes": _metadata("Name: \033[2Jx\nVersion: \033[1m\n"),
    "metadata_below": _metadata("Metadata-Version: 2.1\n\nName: NAME\nVersion: 1\n"),
    "twins": _twins,
    "thousands": _many,
    "info_is_a_file": _folder(lambda path: path.write_text("x")),
    "info_is_a_broken_link": _folder(lambda path: path.symlink_to("nowhere")),
    "info_is_a_loop": _folder(lambda path: path.symlink_to(path)),
    "info_is_a_pipe": _folder(os.mkfifo),
    "egg_is_a_file": lambda site, name: void((site / f"{name}.egg-info").write_text("Name: x")),
    "put_aside": lambda site, name: (site / f"~{name}-1.dist-info").mkdir(),
    **{
        f"{file.partition('.')[0].lower()}_is_{what}": _instead(file, make)
        for file in ("entry_points.txt", "METADATA", "RECORD", "direct_url.json")
        for what, make in {
            "a_folder": Path.mkdir,
            "a_pipe": os.mkfifo,
            "a_broken_link": lambda path: path.symlink_to("nowhere"),
            "a_loop": lambda path: path.symlink_to(path),
            "endless": lambda path: path.symlink_to("/dev/zero"),
        }.items()
    },
    **{
        f"{group.replace('.', '_')}_{what}": _module(group, code)
        for group in OTHER_GROUPS
        for what, code in OTHER_CODE.items()
    },
}  # fmt: skip
OTHERS = (["train", "list"], ["train", "--help"], ["data", "list"], ["config", "show"], ["models", "list"])


@contextmanager
def campaign(folder: Path) -> Iterator[Callable[[random.Random], str]]:
    """Lay each kind into a folder on the path, beside a good plugin."""
    everything = folder / "everything"
    _lay(everything, list(LAYERS))
    numbers = iter(range(1_000_000))

    def trial(rng: random.Random) -> str:
        if rng.random() < 0.1:
            _check_others(everything, folder, rng.choice(OTHERS), rng)
            return "all together"
        name = rng.choice(list(LAYERS))
        site = folder / f"site-{next(numbers)}"
        _lay(site, [name])
        try:
            return _check_alone(site, folder, name, rng)
        finally:
            shutil.rmtree(site)

    yield trial


def _lay(site: Path, names: list[str]) -> None:
    site.mkdir()
    write_plugin(site, "good", FINE)
    for name in names:
        LAYERS[name](site, name)


def _raven(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": f"{site}{os.pathsep}{ROOT}",
        "RAVENML_IMPORT_TIMEOUT": str(IMPORT_SECONDS),
        "RAVENML_TRACK": "none",
        "RAVENML_STORAGE_PATH": str(folder / "home"),
        "COLUMNS": "200",
    }
    command = [sys.executable, "-P", "-m", "ravenml", *words]
    done = run_contained(command, SECONDS_PER_TRIAL / 2, env=environment, cwd=folder)
    assert done is not None, f"raven {' '.join(words)} did not end"
    return done


def _check_others(site: Path, folder: Path, words: list[str], rng: random.Random) -> None:
    """Every other command works, and says once what is wrong."""
    busy, began = _busy(), time.monotonic()
    done = _raven(site, folder, *words)
    took = time.monotonic() - began
    shown = f"raven {' '.join(words)}: {done.stdout!r} {done.stderr[-3000:]!r}"
    assert done.returncode == 0, shown
    assert "Traceback" not in done.stderr, shown
    assert "\033" not in done.stdout + done.stderr, shown
    if words[0] == "train":
        assert re.search(r"^ *good\b", done.stdout, re.MULTILINE), shown
        assert took < LIST_SECONDS * max(busy, _busy()), f"{took:.2f} s: {shown[:300]}"
    if rng.random() < 0.3:
        used = _raven(site, folder, "train", "good", "train", "--write-config", "-")
        assert used.returncode == 0 and "plugin" in used.stdout, used.stderr


def _check_alone(site: Path, folder: Path, name: str, rng: random.Random) -> str:
    """The plugin itself works, or there is a sentence that names it."""
    if rng.random() < 0.3:
        _check_others(site, folder, rng.choice(OTHERS), rng)
        return "others work"
    words = rng.choice([["train", "--help"], ["--help"], ["train", "--write-config", "-"]])
    for _ in range(rng.choice([1, 2])):  # it may be known the second time
        done = _raven(site, folder, "train", name, *words)
        shown = (
            f"raven train {name} {' '.join(words)}: {done.returncode} {done.stdout!r} {done.stderr[-3000:]!r}"
        )
        assert done.returncode in (0, 1, 2), shown
        assert "Traceback" not in done.stderr and "bug in ravenML" not in done.stderr, shown
        assert "\033" not in done.stdout + done.stderr, shown
        if done.returncode:
            assert "Error: " in done.stderr and name in done.stderr, shown
        else:
            assert done.stdout, shown
    return "refused" if done.returncode else "used"


def _busy() -> float:
    """How many times as long as alone a process takes now; 1 where a core is free."""
    began, used = time.monotonic(), time.process_time()
    while time.process_time() - used < 0.05:
        pass
    return max(1.0, (time.monotonic() - began) / 0.05)
