"""Compiled requirements: what a user elsewhere can install, and when they are out of date."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ravenml.errors import InputError, RavenError
from ravenml.plugin import requirements
from ravenml.plugin.requirements import (
    TORCH_CPU_INDEX,
    clean_pins,
    compile_all,
    compile_plugin,
    core_requirements,
    cpu_index,
    inputs_digest,
    is_reachable,
    is_up_to_date,
    pip_compile,
    read_pins,
    read_requirements,
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a core that needs numpy and one plugin, its compiled files up to date."""
    (tmp_path / "setup.py").write_text(
        'install_requires = ["numpy>=1"]\nsetup(install_requires=install_requires)\n'
    )
    plugin = tmp_path / "plugins" / "ravenml_x"
    plugin.mkdir(parents=True)
    (plugin / "requirements.in").write_text("# hand-written\ntorch==2.13.*  # the newest\n")
    (plugin / "requirements-gpu.in").write_text("-r requirements.in\n")
    constraints = tmp_path / "plugins" / "constraints.txt"
    constraints.write_text(
        f"# inputs: sha256={inputs_digest(['numpy>=1', 'torch==2.13.*'])}\nnumpy==2.4\ntorch==2.13.0\n"
    )
    for name in ("requirements.txt", "requirements-gpu.txt"):
        held = inputs_digest(["torch==2.13.*", "numpy==2.4", "torch==2.13.0"])
        (plugin / name).write_text(f"# inputs: sha256={held}\ntorch==2.13.0\n")
    return tmp_path


def stale(checkout: Path) -> list[str]:
    return [path.relative_to(checkout).as_posix() for path in compile_all(checkout, only_check=True)]


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a web server on this machine that answers every question."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


def test_a_local_version_loses_its_label():
    assert clean_pins("torch==2.13.0+cpu\n") == "torch==2.13.0\n"


def test_a_marker_stays():
    line = 'colorama==0.4.6 ; sys_platform == "win32"'
    assert clean_pins(f"{line}\n") == f"{line}\n"


def test_options_comments_and_pip_itself_are_left_out():
    options = "--find-links /a/folder\n--extra-index-url https://x.example/simple\n\n"
    assert clean_pins(f"{options}# unsafe:\nclick==8.1.0  # via x\npip==24.0\n") == "click==8.1.0\n"


@pytest.mark.parametrize(
    "line", ["torch @ file:///home/me/torch.whl", "./vendored/torch", "git+https://x.example/t.git"]
)
def test_what_is_no_pin_is_refused(line: str):
    with pytest.raises(RavenError, match=r"not a pin that others could install"):
        clean_pins(f"{line}\n")


def test_a_file_that_includes_another_wants_what_both_want(tmp_path: Path):
    (tmp_path / "requirements.in").write_text("a>=1\n")
    (tmp_path / "requirements-gpu.in").write_text("-r requirements.in\nb\n")
    assert read_requirements(tmp_path / "requirements-gpu.in") == ["a>=1", "b"]


def test_a_missing_input_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"requirements\.in does not exist"):
        read_requirements(tmp_path / "requirements.in")
    with pytest.raises(InputError, match=r"setup\.py has no list install_requires"):
        core_requirements(tmp_path)


def test_files_that_are_up_to_date_are_left_alone(checkout: Path):
    assert stale(checkout) == []


def test_comments_and_file_times_do_not_make_files_out_of_date(checkout: Path):
    source = checkout / "plugins" / "ravenml_x" / "requirements.in"
    source.write_text("# another remark\n" + source.read_text())
    assert stale(checkout) == []


def test_a_changed_requirement_makes_all_that_depends_on_it_out_of_date(checkout: Path):
    (checkout / "plugins" / "ravenml_x" / "requirements.in").write_text("torch==2.14.*\n")
    assert stale(checkout) == [
        "plugins/constraints.txt",
        "plugins/ravenml_x/requirements-gpu.txt",
        "plugins/ravenml_x/requirements.txt",
    ]


def test_changed_constraints_make_the_plugins_files_out_of_date(checkout: Path):
    constraints = checkout / "plugins" / "constraints.txt"
    constraints.write_text(constraints.read_text().replace("numpy==2.4", "numpy==2.5"))
    assert stale(checkout) == ["plugins/ravenml_x/requirements-gpu.txt", "plugins/ravenml_x/requirements.txt"]


def test_what_the_tests_need_is_pinned_as_well(checkout: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []
    monkeypatch.setattr(
        requirements,
        "pip_compile",
        lambda wanted, constraints, gpu, *_: asked.append(wanted) or "pytest==9.2\n",
    )
    setup = 'install_requires = ["numpy>=1"]\noptional = {"charts": ["plotext>=5"]}\n'
    (checkout / "setup.py").write_text(f'{setup}development = ["pytest>=8"]\n')
    (checkout / "tests").mkdir()
    assert stale(checkout) == ["tests/requirements.txt"]
    compile_all(checkout)
    assert asked == [["numpy>=1", "plotext>=5", "pytest>=8"]]
    assert stale(checkout) == []


def test_the_name_of_a_cuda_package_is_refused_for_the_cpu_and_a_monitor_of_gpus_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pins = ["nvidia-ml-py==13.0.0\n", "nvidia-cublas==13.1\n"]
    monkeypatch.setattr(requirements, "run_shown", lambda *_, **__: (0, pins.pop(0)))
    monkeypatch.setenv("RAVENML_TORCH_INDEX", "")
    assert pip_compile([], None, False, tmp_path, {}) == "nvidia-ml-py==13.0.0\n"
    with pytest.raises(RavenError, match="no CPU build of torch"):
        pip_compile([], None, False, tmp_path, {})


def test_compiling_writes_the_pins_and_the_hash_of_what_they_came_from(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        requirements, "pip_compile", lambda wanted, constraints, gpu, *_: f"torch==2.{14 + gpu}\n"
    )
    (checkout / "plugins" / "ravenml_x" / "requirements.in").write_text("torch>=2.14\n")
    assert len(compile_all(checkout)) == 3
    assert stale(checkout) == []
    assert (checkout / "plugins/ravenml_x/requirements-gpu.txt").read_text().endswith("\ntorch==2.15\n")


def test_one_plugins_installation_compiles_the_constraints_and_its_own_file_alone(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(requirements, "pip_compile", lambda wanted, constraints, gpu, *_: "torch==2.14.0\n")
    plugin = checkout / "plugins" / "ravenml_x"
    assert compile_plugin(plugin, gpu=False) == []
    (plugin / "requirements.in").write_text("torch>=2.14\n")
    compiled = [checkout / "plugins" / "constraints.txt", plugin / "requirements.txt"]
    assert compile_plugin(plugin, gpu=False) == compiled
    assert compile_plugin(plugin, gpu=False) == []
    assert compile_plugin(plugin, gpu=False, force=True) == compiled  # install.sh -r
    assert compile_plugin(plugin, gpu=True) == [plugin / "requirements-gpu.txt"]


def test_a_plugin_that_lies_elsewhere_is_compiled_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []
    monkeypatch.setattr(
        requirements,
        "pip_compile",
        lambda wanted, constraints, gpu, *_: asked.append((wanted, constraints)) or "torch==2.14.0\n",
    )
    (tmp_path / "requirements.in").write_text("torch>=2.14\n")
    assert compile_plugin(tmp_path, gpu=False) == [tmp_path / "requirements.txt"]
    assert asked == [(["torch>=2.14"], None)]
    assert compile_plugin(tmp_path, gpu=False) == []


def test_a_plugin_with_a_script_of_its_own_does_not_hold_the_others(checkout: Path):
    theirs = checkout / "plugins" / "ravenml_old"
    theirs.mkdir()
    (theirs / "requirements.in").write_text("tensorflow<2.0\n-e .\n")
    (theirs / "install.sh").write_text("pip install -r requirements.txt\n")
    assert stale(checkout) == []
    (theirs / "install.sh").unlink()
    assert stale(checkout)[0] == "plugins/constraints.txt"


def test_what_needs_nothing_is_compiled_without_asking_anybody(tmp_path: Path):
    (tmp_path / "requirements.in").write_text("# nothing yet\n")
    assert compile_plugin(tmp_path, gpu=False) == [tmp_path / "requirements.txt"]
    assert read_pins(tmp_path / "requirements.txt") == {}


def test_pins_are_read_by_canonical_name_and_for_this_machine(tmp_path: Path):
    (tmp_path / "requirements.txt").write_text(
        "# a remark\nTyping_Extensions==4.16.0\ntorch==2.13.0 ; sys_platform == 'win32'\n"
        "numpy==2.4.6; python_version >= '3'\n"
    )
    assert read_pins(tmp_path / "requirements.txt") == {"typing-extensions": "4.16.0", "numpy": "2.4.6"}


@pytest.mark.parametrize("line", ["torch>=2", "--find-links /here", "-e ."])
def test_a_line_that_is_no_pin_is_named(tmp_path: Path, line: str):
    (tmp_path / "requirements.txt").write_text(f"numpy==2.4.6\n{line}\n")
    with pytest.raises(InputError, match="line 2"):
        read_pins(tmp_path / "requirements.txt")


def test_a_compiled_file_that_is_missing_is_not_current(tmp_path: Path):
    assert not is_up_to_date(tmp_path / "requirements.txt", [])


def test_the_cpu_index_may_be_named_or_switched_off():
    assert cpu_index({"RAVENML_TORCH_INDEX": "https://torch.example/cpu"}) == "https://torch.example/cpu"
    assert cpu_index({"RAVENML_TORCH_INDEX": ""}) is None


def test_the_cpu_index_is_used_only_where_it_answers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        requirements, "is_reachable", lambda address, seconds: address.startswith(TORCH_CPU_INDEX)
    )
    assert cpu_index({}) == TORCH_CPU_INDEX
    monkeypatch.setattr(requirements, "is_reachable", lambda address, seconds: False)
    assert cpu_index({}) is None


def test_a_server_that_answers_is_told_from_one_that_does_not(server: str):
    assert is_reachable(server, 5.0)
    assert not is_reachable("http://127.0.0.1:9/", 0.5)
