"""`raven agent check`: what a contract plugin lacks, found without running any of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from as_user import Raven

from ravenml.agent.check import check_plugin


def test_a_plugin_that_lacks_nothing(raven: Raven, printing: Path) -> None:
    (printing / "Dockerfile").write_text("FROM scratch\n")
    assert raven.ok("agent", "check", printing) == f"Nothing is wrong with {printing}.\n"


def test_names_that_the_library_has_not_are_listed_with_their_places(raven: Raven, printing: Path) -> None:
    (printing / "src" / "train.py").write_text(
        "import supervisely_lib as sly\n"
        "from supervisely_lib.project.project import Project\n"
        "print(sly.TaskPaths.DATA_DIR)\n"
        "sly.fs.no_such_function()\n"
    )
    done = raven("agent", "check", printing)
    assert done.returncode == 1 and "1 thing is wrong with" in done.stderr
    assert "src/train.py:4: supervisely_lib.fs.no_such_function is not in ravenML's SDK" in done.stderr
    library = printing / "supervisely_lib"
    library.mkdir()
    (library / "__init__.py").write_text("")
    faults, notes = check_plugin(printing)
    assert faults == [] and any("brings its own supervisely_lib" in note for note in notes)


def test_nothing_of_the_plugin_is_run(printing: Path) -> None:
    for path in (printing / "src").glob("*.py"):
        path.write_text("raise SystemExit('it was run')\nimport json\n")
    assert check_plugin(printing)[0] == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("src/train.py", "print 'of 2018'\n", r"src/train.py, line 1: Python 3.\d+ cannot read it"),
        ("src/train.py", "import no_such_framework.nn\n", "src/train.py imports no_such_framework, which"),
        ("src/inference.py", "from no_such_net import Net\n", "src/inference.py imports no_such_net"),
        ("src/net.py", "import no_such_layers\n", "src/net.py imports no_such_layers"),
        ("predefined_run_configs.json", '[{"title": "a", "type": "x", "config": {}}]', "has the type 'x'"),
        ("predefined_run_configs.json", '[{"title": "a", "type": "deploy", "config": {}}]', "src/deploy.py"),
        ("plugin_info.json", "{}", "title must be text"),
        ("VERSION", "", "is empty"),
    ],
)
def test_what_is_wrong_is_named(printing: Path, name: str, content: str, said: str) -> None:
    with (printing / "src" / "train.py").open("a") as file:
        file.write("from net import Net\n")
    (printing / "src" / "net.py").write_text("")
    (printing / name).write_text(content)
    faults, _ = check_plugin(printing)
    assert len(faults) == 1 and re.search(said, faults[0]), faults


def test_its_own_modules_are_there_and_a_config_must_fit_its_schemas(printing: Path) -> None:
    (printing / "src" / "helpers.py").write_text("")
    (printing / "src" / "plot.py").write_text("import no_such_plots\n")  # no program imports it
    (printing / "src" / "train.py").write_text("import helpers, common.net\nfrom . import other\n")
    (printing / "common").mkdir()
    schema = {"training_config": {"properties": {"epochs": {"maximum": 3}}}}
    (printing / "src" / "schemas.json").write_text(json.dumps(schema))
    (fault,) = check_plugin(printing)[0]
    assert "'five epochs': epochs: 5 is greater than the maximum of 3" in fault


def test_a_folder_without_a_program_is_no_plugin(raven: Raven, tmp_path: Path) -> None:
    done = raven("agent", "check", tmp_path)
    assert done.returncode == 1 and "is not a plugin" in done.stderr
    assert raven("agent", "check", tmp_path / "gone").returncode == 2


@pytest.mark.parametrize(
    "line",
    ["ENV PYTHONPATH /workdir:/workdir/lib/nets:$PYTHONPATH", 'ENV A=1 PYTHONPATH="/workdir/lib/nets/"'],
)
def test_modules_are_found_where_the_dockerfile_says(printing: Path, line: str) -> None:
    (printing / "Dockerfile").write_text(f"FROM scratch\n{line}\n")
    (printing / "src" / "train.py").write_text("import blocks\nblocks.build()\n")
    assert any("imports blocks" in fault for fault in check_plugin(printing)[0])
    (printing / "lib" / "nets").mkdir(parents=True)
    (printing / "lib" / "nets" / "blocks.py").write_text("import no_such_layers\n")
    (fault,) = check_plugin(printing)[0]
    assert fault.startswith("lib/nets/blocks.py imports no_such_layers")
