"""Broken plugins and distributions: what is wrong is said, and everything else stays usable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from as_user import Raven
from throwaway import AS_WRITTEN_TODAY, GROUP, write_plugin

DYING = {
    "import ctypes; ctypes.string_at(0)": "its import killed the process (SIGSEGV)",
    "import os; os._exit(7)": "its import ended the process with exit code 7",
    "print('no GPU'); import os; os.abort()": "its import killed the process (SIGABRT); it printed: no GPU",
    "import os; os.kill(os.getppid(), 9)": "its import killed the process that watched it (SIGKILL)",
    "raise KeyboardInterrupt": "cannot be loaded: KeyboardInterrupt",
    "raise ValueError('\\033[2J')": "ValueError: \\x1b[2J",
}
STUCK = (
    "import time\nwhile True:\n    try: time.sleep(1)\n    except BaseException: pass",
    "import signal, threading\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nlock = threading.Lock()\n"
    "lock.acquire(); lock.acquire()",
    "import ctypes; ctypes.PyDLL(None).sleep(1000)",
)


@pytest.fixture
def info(site: Path) -> Path:
    """The metadata's folder of the plugin ``odd``, which lies beside a good one."""
    write_plugin(site, "good", AS_WRITTEN_TODAY)
    write_plugin(site, "odd", AS_WRITTEN_TODAY)
    return site / "ravenml_odd-1.2.dist-info"


@pytest.mark.parametrize(("source", "said"), DYING.items())
def test_an_import_that_kills_its_process_is_a_sentence(
    raven: Raven, site: Path, source: str, said: str
) -> None:
    write_plugin(site, "dies", source)
    done = raven("train", "dies", "train")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "ravenml_dies 1.2" in done.stderr and said in done.stderr


@pytest.mark.parametrize("source", STUCK)
def test_the_time_limit_holds_for_code_that_cannot_be_interrupted(
    raven: Raven, site: Path, source: str
) -> None:
    write_plugin(site, "stuck", source)
    done = raven("train", "stuck", "train", RAVENML_IMPORT_TIMEOUT="1", timeout=60)
    assert done.returncode == 1 and "did not end within 1 s" in done.stderr


@pytest.mark.parametrize("source", STUCK)
def test_it_holds_for_a_plugin_that_was_good_before(raven: Raven, site: Path, source: str) -> None:
    at_the_second_time = f"import os\nif os.environ.get('STUCK'):\n    exec({source!r})\n{AS_WRITTEN_TODAY}"
    write_plugin(site, "changes", at_the_second_time)
    raven.ok("train", "changes", "train", "--help")
    done = raven("train", "changes", "train", STUCK="1", RAVENML_IMPORT_TIMEOUT="1", timeout=60)
    assert done.returncode == 1


def test_a_known_plugin_is_imported_once_until_it_changes(raven: Raven, site: Path, tmp_path: Path) -> None:
    count = f"open({str(tmp_path / 'imports')!r}, 'a').write('x')\n"
    write_plugin(site, "counts", count + AS_WRITTEN_TODAY)

    def imports() -> int:
        before = len((tmp_path / "imports").read_text()) if (tmp_path / "imports").exists() else 0
        raven.ok("train", "counts", "train", "--help")
        return len((tmp_path / "imports").read_text()) - before

    assert [imports(), imports(), imports()] == [2, 1, 1]
    (site / "ravenml_counts" / "other.py").write_text("")
    assert [imports(), imports()] == [2, 1]


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.chdir('/')\n",
        "import os, sys\nos.close(1); sys.stdout.close()\n",
        "import sys\nsys.stdout = sys.stderr = None\n",
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n",
        "import os\nos.fork()\n",
    ],
)
def test_what_an_import_changes_in_the_process_is_changed_back(raven: Raven, site: Path, source: str) -> None:
    command = "\n@my_plugin.command()\ndef state():\n    import os, signal\n"
    command += "    print(os.getcwd(), signal.getsignal(signal.SIGTERM) == signal.SIG_IGN)\n"
    write_plugin(site, "changes", source + GROUP + command)
    for _ in range(2):
        assert raven.ok("train", "changes", "state") == f"{raven.cwd} False\n"


def test_an_import_that_starts_an_endless_thread_is_refused(raven: Raven, site: Path) -> None:
    thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(900,), name='t').start()\n"
    write_plugin(site, "threads", thread + AS_WRITTEN_TODAY)
    done = raven("train", "threads", "train", "--help")
    assert done.returncode == 1 and "starts the thread 't', which does not end" in done.stderr


def test_check_finds_nothing_wrong_with_a_plugin_that_forks(raven: Raven, site: Path) -> None:
    fork = "import os, time\nif os.fork() == 0: time.sleep(900)\n"
    write_plugin(site, "forks", fork + AS_WRITTEN_TODAY)
    write_plugin(site, "dies", "import os; os._exit(3)")
    said = raven("train", "list", "--check").stderr
    assert "'forks'" not in said and "its import ended the process with exit code 3" in said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (GROUP + "\nmy_plugin.commands = {'train': 3}", "cannot be loaded: AttributeError"),
        (
            GROUP + "\ndef f(*a, **k): raise RuntimeError('x')\nmy_plugin.make_context = f",
            "failed: RuntimeError: x",
        ),
        (
            "class T:\n    @property\n    def __class__(self): raise OSError('x')\nmy_plugin = T()",
            "OSError: x",
        ),
    ],
)
def test_an_object_that_only_looks_like_a_command_is_named(
    raven: Raven, site: Path, source: str, said: str
) -> None:
    write_plugin(site, "fake", source)
    done = raven("train", "fake", "train", "--help")
    assert done.returncode == 1 and "ravenml_fake 1.2" in done.stderr and said in done.stderr


def test_help_does_not_control_the_terminal(raven: Raven, site: Path) -> None:
    write_plugin(site, "loud", AS_WRITTEN_TODAY + "\nmy_plugin.help = '\\033]0;x\\007\\033[2Jtext'")
    shown = raven.ok("train", "loud", "--help")
    assert "text" in shown and "\033" not in shown


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[ravenml.plugins.train]\nno equals sign\n", "line 2 is not `name = module:object`"),
        ("[ravenml.plugins.train]\n".encode("utf-16"), "is not UTF-8 text"),
    ],
)
def test_malformed_entry_points_are_named_and_passed_over(
    raven: Raven, info: Path, content: bytes, said: str
) -> None:
    (info / "entry_points.txt").write_bytes(content)
    done = raven("train", "list", fork=False)
    assert {"good"} <= set(done.stdout.splitlines()) and "odd" not in done.stdout.splitlines()
    assert said in done.stderr and f"{info}/entry_points.txt" in done.stderr
    for words in (["data", "list"], ["models", "list"], ["config", "show"], ["train", "good", "train"]):
        done = raven(*words, fork=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", ["METADATA", "entry_points.txt"])
@pytest.mark.parametrize("what", ["folder", "pipe", "broken link", "endless", "empty", "missing"])
def test_whatever_lies_in_the_place_of_metadata_hides_no_other_plugin(
    raven: Raven, info: Path, file: str, what: str
) -> None:
    path = info / file
    path.unlink()
    make = {
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "broken link": lambda: path.symlink_to("nowhere"),
        "endless": lambda: path.symlink_to("/dev/zero"),
        "empty": path.touch,
        "missing": lambda: None,
    }
    make[what]()
    done = raven("train", "list", timeout=30, fork=False)
    assert "good" in done.stdout.splitlines() and "odd" not in done.stdout.splitlines()
    if (file, what) not in {("entry_points.txt", "missing"), ("entry_points.txt", "empty")}:
        assert f"{path} " in done.stderr and done.stderr.count(str(info)) == 1
    assert "good" in raven("train", "--help", timeout=30, fork=False).stdout


def test_metadata_with_line_ends_of_windows_are_read(raven: Raven, site: Path) -> None:
    write_plugin(site, "good", AS_WRITTEN_TODAY)
    (info,) = site.glob("*.dist-info")
    for name in ("METADATA", "entry_points.txt"):
        (info / name).write_bytes((info / name).read_bytes().replace(b"\n", b"\r\n"))
    done = raven("train", "list", fork=False)
    assert "good" in done.stdout.splitlines() and not done.stderr


def test_a_leftover_without_metadata_does_not_hide_the_distribution_of_its_name(
    raven: Raven, site: Path
) -> None:
    write_plugin(site, "good", AS_WRITTEN_TODAY)
    (site / "ravenml_good-9.9.dist-info").mkdir()
    assert "good" in raven.ok("train", "list").splitlines()


def test_libraries_pass_over_damaged_metadata_too(info: Path) -> None:
    (info / "entry_points.txt").write_text("[torch.backends]\nno equals sign\n")
    code = (
        "import ravenml\n"
        "import importlib.metadata as std, importlib_metadata as backport\n"
        "for one in (std, backport): print(len(one.entry_points(group='ravenml.plugins.train')) > 0)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(info.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "True\nTrue\n", done.stderr


def test_names_that_no_one_can_type_are_marked_and_shown_safely(raven: Raven, info: Path) -> None:
    (info / "entry_points.txt").write_text("[ravenml.plugins.train]\n\033[2J = ravenml_odd.core:my_plugin\n")
    done = raven("train", "list")
    assert done.stdout.splitlines().count("good") == 1 and "\033" not in done.stdout + done.stderr
    assert "nothing else" in done.stderr
