"""``ravenml.fit`` and what reads runs: everything that ``raven train`` does, for Python."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from as_user import Raven
from hypothesis import given
from hypothesis import strategies as st
from throwaway import GROUP, LEARNS, SETTINGS, write_plugin

from ravenml.common.io import read_json
from ravenml.train.fit import as_text
from ravenml.train.settings import parse_settings


def python(raven: Raven, code: str, **env: str) -> Any:
    """Run Python code that prints JSON as its last line; what it says there."""
    done = subprocess.run(
        [sys.executable, "-c", f"import json, ravenml\n{code}"],
        env=raven.env(**env),
        cwd=raven.cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_run_is_the_one_that_the_command_line_makes(raven: Raven, learner: Path, project: Path) -> None:
    raven.ok("train", "--dataset", project, "learner", "train", "--set", "epochs=3", "--input-width", "32")
    settings = {"epochs": 3, "input_size": {"width": 32}}
    said = python(
        raven,
        f"run = ravenml.fit('learner', dataset={str(project)!r}, settings={settings})\n"
        "width = run.settings['input_size.width']\n"
        "print(json.dumps([run.id, str(run.path), run.status, run.metrics, width]))",
    )
    one, other = raven.runs()
    assert said[:3] == [other.name, str(other), "completed"] and said[4] == 32
    records = [read_json(folder / "run.json") for folder in (one, other)]
    assert records[0].keys() == records[1].keys()
    assert records[0]["config"] == records[1]["config"]
    assert records[0]["result"]["metrics"] == records[1]["result"]["metrics"] == said[3]
    names = [{path.relative_to(folder) for path in folder.rglob("*")} for folder in (one, other)]
    assert names[0] == names[1]
    assert records[1]["command"][:4] == ["raven", "train", "--dataset", str(project)]
    assert records[1]["resume"] == f"raven train learner train --resume {other.name}"


def test_what_is_given_wins_over_environment_file_preset_and_default(
    raven: Raven, site: Path, project: Path
) -> None:
    presets = [{"title": "Long", "type": "train", "config": {"epochs": 5, "lr": 0.5, "seconds": 0.01}}]
    files = {"predefined_run_configs.json": json.dumps(presets)}
    write_plugin(site, "learner", LEARNS, settings=SETTINGS, files=files)
    file = raven.cwd / "c.yml"
    file.write_text(f"dataset: {project}\nplugin:\n  epochs: 4\n  lr: 0.4\n  optimizer: adam\n")
    call = "ravenml.fit('learner', config='c.yml', settings={}).settings"
    code = "s = {}\nprint(json.dumps([s['epochs'], s['lr'], s['optimizer'], s['seconds']]))"
    environment = {"RAVENML_LEARNER_LR": "0.3"}
    assert python(raven, code.format(call.format({"epochs": 1})), **environment) == [1, 0.3, "adam", 0.0]
    with_preset = "ravenml.fit('learner', config='c.yml', preset='Long', settings={'epochs': 1}).settings"
    assert python(raven, code.format(with_preset)) == [1, 0.5, "adam", 0.01]


def test_folds_are_trained_and_found_by_their_score(raven: Raven, learner: Path, project: Path) -> None:
    said = python(
        raven,
        f"run = ravenml.fit('learner', {str(project)!r}, kfold={{'folds': 3, 'seed': 7}}, jobs=3)\n"
        "found = ravenml.list_runs('val/miou>0.1', plugin='learner', status='completed', limit=5)\n"
        "assert found == [run] == [ravenml.load_run(run.id[:18])] and ravenml.list_runs('epochs>9') == []\n"
        "print(json.dumps([run.folds, run.metrics, run.curves()['val/miou'].y]))",
    )
    (folder,) = raven.runs()
    assert said[0] == 3 and said[2] == pytest.approx([0.1, 0.2])
    assert said[1] == read_json(folder / "run.json")["result"]["metrics"]
    assert len(read_json(folder / "info" / "folds.json")["folds"]) == 3


def test_a_run_is_resumed_from_python(raven: Raven, learner: Path, project: Path) -> None:
    failed = raven("train", "--dataset", project, "learner", "train", "--fold", "0", FAIL_FOLD="0")
    assert failed.returncode == 1
    (folder,) = raven.runs()
    code = "run = ravenml.fit('learner', resume=ravenml.load_run())\nprint(json.dumps([run.id, run.status]))"
    assert python(raven, code) == [folder.name, "completed"]


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        ("'lerner'", "InputError", "installed: learner"),
        ("'learner', 'nowhere'", "InputError", "nowhere"),
        ("'learner', PROJECT, {'epoch': 1}", "InputError", "did you mean `epochs`?"),
        ("'learner', PROJECT, {'epochs': 'many'}", "InputError", "epochs"),
        ("'learner', PROJECT, {'epochs': object()}", "InputError", "A setting cannot hold"),
        ("'learner', PROJECT, kfold={'fold': 2}", "InputError", "there is no field 'fold'"),
        ("'learner', PROJECT, kfold=3", "InputError", "3 is neither True nor a mapping"),
        ("'learner', PROJECT, upload_checkpoints='some'", "InputError", "'some' is not one of"),
        ("'learner', PROJECT, fold=0", "RavenError", "failed with ValueError: the fold broke"),
    ],
)
def test_what_goes_wrong_is_raised_as_a_sentence(
    raven: Raven, learner: Path, project: Path, call: str, error: str, says: str
) -> None:
    code = f"""
PROJECT = {str(project)!r}
try:
    ravenml.fit({call})
except ravenml.RavenError as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""
    kind, said = python(raven, code, FAIL_FOLD="0")
    assert kind == error and says in said
    assert [read_json(run / "run.json")["result"]["status"] for run in raven.runs()] == (
        ["failed"] if error == "RavenError" else []
    )


def test_a_plugin_that_ends_its_process_does_not_end_the_caller_s(
    raven: Raven, site: Path, project: Path
) -> None:
    ends = (
        GROUP
        + """
@my_plugin.command()
@pass_train
def train(train: TrainInput):
    train.run
    raise SystemExit("no GPU")
"""
    )
    write_plugin(site, "ends", ends)
    code = f"""
try:
    ravenml.fit("ends", {str(project)!r})
except ravenml.RavenError as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""
    assert python(raven, code) == ["RavenError", "The plugin 'ends' ended with: no GPU"]


def test_a_setting_is_recorded_as_its_option_which_a_resumed_run_may_replace(
    raven: Raven, learner: Path, project: Path
) -> None:
    settings = {
        "epochs": 1,
        "input_size": {"width": 32},
        "polite": False,
        "classes": ["a", "b"],
        "optimizer": "adam",
    }
    said = python(
        raven,
        f"run = ravenml.fit('learner', {str(project)!r}, {settings}, metadata={{'comments': 'true'}})\n"
        "assert run == ravenml.load_run() and len({run, run}) == 1\n"
        "print(json.dumps([run.settings['classes'], run.settings['polite']]))",
    )
    assert said == [["a", "b"], False]
    record = read_json(raven.runs()[0] / "run.json")
    words = " ".join(record["command"])
    assert "--epochs 1 --input-width 32 --no-polite --classes a,b" in words
    assert record["config"]["metadata"]["comments"] == "true"


def test_runs_are_read_without_click_or_a_framework(raven: Raven, learner: Path, project: Path) -> None:
    raven.ok("train", "--dataset", project, "learner", "train")
    heavy = ["click", "torch", "tensorflow", "boto3"]
    code = f"import sys\nravenml.list_runs()\nprint(json.dumps([n for n in {heavy} if n in sys.modules]))"
    assert python(raven, code) == []


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXT


@given(PLAIN | st.lists(PLAIN, max_size=4) | st.dictionaries(st.text("abc", min_size=1), PLAIN, max_size=3))
def test_a_value_survives_as_text(value: Any) -> None:
    got = parse_settings([f"setting={as_text(value)}"], None)["plugin"]["setting"]
    # A bare number or truth value stays text: the setting's own type decides, as on the command line.
    assert got == (value if isinstance(value, str | list | dict) or value is None else as_text(value))
