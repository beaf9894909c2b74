"""A plugin that was written from the contract alone runs under the agent, whatever it prints and does."""

from __future__ import annotations

import json
import os
import random
import signal
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from as_user import PATIENCE, Raven, wait_for
from sly_support import events, needs_bwrap, only_run, record, tasks

pytestmark = needs_bwrap


def test_a_training_becomes_a_run_like_any_other(raven: Raven, printing: Path, project: Path) -> None:
    said = raven.ok("agent", "run", printing, "--mode", "train", "--data", project)
    run = only_run(raven)
    kept = record(run)
    assert kept["result"]["status"] == "completed" and kept["plugin"] == "Printing"
    assert kept["config"]["epochs"] == 2, "the first predefined config"
    assert kept["dataset"] == {"name": "project", "path": str(project), "images": 12}
    assert kept["agent"]["isolation"] == "bwrap" and "Isolation: bwrap" in said
    assert [event["metrics"] for event in events(run, "METRICS") if event["type"] == "val"] == [
        {"accuracy": 0.0},
        {"accuracy": 0.5},
    ]
    assert kept["result"]["metrics"] == {"train/loss": 0.5, "val/accuracy": 0.5}
    assert "not an event: training on project with 1 classes\n" in (run / "console.log").read_text()
    assert "event_type" not in (run / "console.log").read_text()
    for name in ("00000000", "00000001"):  # announced as a relative and as an absolute subdir
        assert (run / "checkpoints" / name / "weights" / "model.bin").exists()
    with tarfile.open(run / "model-state.tar") as tar:
        assert tar.getnames() == ["config.json", "weights/model.bin"]
        assert tar.extractfile("weights/model.bin").read() == b"0.5"  # type: ignore[union-attr]
    listed = json.loads(raven.ok("models", "list", "--json"))
    assert [model["id"] for model in listed] == [run.name]
    assert tasks(raven) == [], "the task folder is removed once the result is stored"
    assert "Status:      completed" in raven.ok("runs", "show")
    refused = raven("runs", "resume", run.name)
    assert refused.returncode == 2 and "raven agent attach" in refused.stderr


def test_the_best_checkpoint_becomes_the_model(
    raven: Raven, printing: Path, project: Path, config: Callable[..., Path]
) -> None:
    raven.ok(
        "agent", "run", printing, "--mode", "train", "--data", project,
        "--config", config(epochs=3, best_until=2),
    )  # fmt: skip
    with tarfile.open(only_run(raven) / "model-state.tar") as tar:
        assert tar.extractfile("weights/model.bin").read() == b"0.5"  # type: ignore[union-attr]


def test_a_model_is_inferred_with_and_the_project_is_stored(
    raven: Raven, printing: Path, project: Path
) -> None:
    raven.ok("agent", "run", printing, "--mode", "train", "--data", project, "--preset", "five epochs")
    model = only_run(raven) / "model-state.tar"
    raven.ok("agent", "run", printing, "--mode", "inference", "--data", project, "--model", model)
    run = raven.runs()[-1]
    made = run / "artifacts" / "project"
    assert sorted(path.name for path in made.glob("*/ann/*")) == sorted(
        p.name for p in project.glob("*/ann/*")
    )
    assert [event["message"] for event in events(run, "MODEL_APPLIED")] == ["model applied"]
    assert list((raven.home / "store" / "extras" / run.name / "artifacts" / "project").iterdir())


def test_a_deployed_model_serves_until_it_is_asked_to_stop(
    raven: Raven, printing: Path, project: Path
) -> None:
    raven.ok("agent", "run", printing, "--mode", "train", "--data", project)
    (printing / "src" / "deploy.py").write_text(
        "import json, os, time\n"
        "assert os.listdir('/sly_task_data/data') == []\n"
        "json.load(open('/sly_task_data/model/config.json'))\n"
        "print(json.dumps({'message': 'ready', 'event_type': 'EventType.TASK_DEPLOYED'}))\n"
        "time.sleep(600)\n"
    )
    model = only_run(raven).name  # a run's model, by its id
    agent = raven.start("agent", "run", printing, "--mode", "deploy", "--model", model)
    run = wait_for(lambda: next((r for r in raven.runs()[1:] if events(r, "TASK_DEPLOYED")), None))
    assert "completed" in raven.ok("runs", "stop", run.name), "to be stopped is how a server ends"
    agent.communicate(timeout=PATIENCE)
    assert agent.returncode == 0 and tasks(raven) == [], "its copy of the model is removed"
    assert "stopped by a request to stop" in raven.ok("runs", "show", run.name)


def test_a_model_for_transfer_learning_only_is_trained_on_and_does_not_predict(
    raven: Raven, printing: Path, project: Path, tmp_path: Path
) -> None:
    (printing / "src" / "deploy.py").write_text("print('deployed')\n")
    raven.ok("agent", "run", printing, "--mode", "train", "--data", project)
    raven.ok("models", "push", only_run(raven) / "model-state.tar", "--transfer-only", "--plugin", "x")
    stored = [one["id"] for one in json.loads(raven.ok("models", "list", "--json"))]
    (model,) = (one for one in stored if one != only_run(raven).name)
    task, known = tmp_path / "task", ("--data", project, "--model", model)
    for command, mode, more in [
        ("run", "deploy", ()), ("run", "inference", ()), ("dev", "deploy", ()), ("dev", "inference", ()),
        ("prepare", "inference", ("--task-dir", task)),
    ]:  # fmt: skip
        done = raven("agent", command, printing, "--mode", mode, *known, *more)
        assert done.returncode == 2 and "for transfer learning only" in done.stderr, (command, mode)
    assert len(raven.runs()) == 1 and not tasks(raven) and not task.exists(), "nothing is left behind"
    raven.ok("agent", "prepare", printing, "--mode", "train", *known, "--task-dir", task)
    raven.ok("agent", "run", printing, "--mode", "inference", *known, "--force")


def test_whatever_is_printed_never_ends_a_run(
    raven: Raven, printing: Path, project: Path, config: Callable[..., Path]
) -> None:
    event = '{"message": "metrics", "event_type": "EventType.METRICS", "type": "val", "epoch": 1, '
    said = [
        event + '"metrics": {"cut',
        event + '"metrics": {"nan": NaN, "huge": 1e999}}',
        event + '"metrics": "no numbers", "timestamp": 7}',
        event + '"metrics": {"deep": ' + "[" * 400 + "]" * 400 + "}}",
        '{"event_type": "EventType.PROGRESS", "subtask": ["x"], "current": "many", "total": {}}',
        '{"event_type": "EventType.NOBODY_KNOWS", "colour": "red"}',
        '{"event_type": "EventType.CHECKPOINT", "id": 1, "subdir": "../../../etc"}',
        '{"event_type": "EventType.CHECKPOINT", "id": 2, "subdir": "/etc"}',
        '{"event_type": "EventType.CHECKPOINT", "id": 3, "subdir": null}',
        '{"event_type": "EventType.CHECKPOINT", "id": 4, "subdir": "."}',
        "\x00\x01 bytes",
    ]
    path = config(say="\r".join(said) + "\n", huge=10 << 20)
    raven.ok("agent", "run", printing, "--mode", "train", "--data", project, "--config", path)
    run = only_run(raven)
    metrics = [event["metrics"] for event in events(run, "METRICS") if "metrics" in event]
    assert {"nan": "NaN", "huge": "Infinity"} in metrics and {"long": 1} in metrics
    assert events(run, "NOBODY_KNOWS")[0]["colour"] == "red"
    log = (run / "console.log").read_text()
    assert '"metrics": {"cut\n' in log and "\x00\x01 bytes\n" in log
    warned = [event["message"] for event in events(run, "TEXT")]
    assert len(warned) == 4 and all("is not kept" in message for message in warned)
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["00000000"]
    assert "completed" in raven.ok("runs", "show", run.name)
    assert max(map(len, (run / "events.jsonl").read_bytes().splitlines())) < 1 << 20


def test_a_failed_task_is_kept_and_its_last_lines_are_shown(
    raven: Raven, printing: Path, project: Path, config: Callable[..., Path]
) -> None:
    done = raven("agent", "run", printing, "--mode", "train", "--data", project, "--config", config(fail=3))
    assert done.returncode == 1 and "exit code 3" in done.stderr and "training on project" in done.stderr
    assert record(only_run(raven))["result"]["status"] == "failed"
    (task,) = tasks(raven)
    assert (task / "task" / "results" / "00000000" / "config.json").exists()
    assert str(task / "task") in done.stderr
    kept = task / "task"
    assert (kept / "data" / "project").readlink() == project, "the data that were mounted"

    (kept / "task_config.json").write_text('{"epochs": 1}')  # the cause is mended, and the task goes on
    said = raven.ok("agent", "run", printing, "--mode", "train", "--task-dir", kept)
    assert f"Earlier results: {kept / 'results-1'}" in said and (kept / "results-1" / "00000000").is_dir()
    second = raven.runs()[1]
    assert record(second)["dataset"]["images"] == 12
    assert "training on project with 1 classes" in (second / "console.log").read_text()
    assert not (second / "artifacts").exists(), "what an earlier task left is not this one's result"

    raven.ok("runs", "rm", "--yes", raven.runs()[0].name)
    assert tasks(raven) == [] and not kept.exists() and (project / "meta.json").exists()


def test_a_kept_task_whose_data_are_gone_says_so(
    raven: Raven, printing: Path, project: Path, config: Callable[..., Path]
) -> None:
    raven("agent", "run", printing, "--mode", "train", "--data", project, "--config", config(fail=3))
    kept = tasks(raven)[0] / "task"
    project.rename(project.with_name("moved"))
    done = raven("agent", "run", printing, "--mode", "train", "--task-dir", kept)
    assert done.returncode == 2 and f"links to {project}, which is gone" in done.stderr


def test_a_run_whose_program_lives_on_without_its_agent_is_not_removed(
    raven: Raven, printing: Path, project: Path, config: Callable[..., Path]
) -> None:
    path = config(epochs=100, sleep=0.3)
    agent = raven.start("agent", "run", printing, "--mode", "train", "--data", project, "--config", path)
    run = wait_for(lambda: next((r for r in raven.runs() if events(r, "METRICS")), None))
    agent.kill()
    agent.communicate()
    refused = raven("runs", "rm", "--yes", run.name)
    assert refused.returncode == 2 and "still running" in refused.stderr and len(tasks(raven)) == 1
    raven("runs", "stop", run.name)
    raven("agent", "attach", run.name)
    raven.ok("runs", "rm", "--yes", run.name)
    assert tasks(raven) == [] == raven.runs()


def test_the_task_folder_is_kept_where_the_environment_says_so(
    raven: Raven, printing: Path, project: Path
) -> None:
    raven.ok(
        "agent", "run", printing, "--mode", "train", "--data", project, DELETE_TASK_DIR_ON_FINISH="false"
    )
    (task,) = tasks(raven)
    assert (task / "task" / "results" / "00000001").is_dir()
    assert (task / "task" / "data" / "project" / "meta.json").is_file()


def test_a_named_task_folder_is_never_touched_and_runs_again(
    raven: Raven, printing: Path, project: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    raven.ok("agent", "prepare", printing, "--mode", "train", "--data", project, "--task-dir", mine)
    assert (mine / "data" / "project").readlink() == project
    assert json.loads((mine / "task_config.json").read_text())["epochs"] == 2
    raven.ok("agent", "run", printing, "--mode", "train", "--task-dir", mine)
    assert (mine / "results" / "00000001" / "config.json").exists()
    assert record(only_run(raven))["result"]["status"] == "completed"
    refused = raven("agent", "run", printing, "--mode", "train", "--task-dir", mine, "--data", project)
    assert refused.returncode == 2 and "already holds a task" in refused.stderr


def test_a_named_task_folder_that_a_run_has_made_shows_its_data_to_the_next(
    raven: Raven, printing: Path, project: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    raven.ok("agent", "run", printing, "--mode", "train", "--data", project, "--task-dir", mine)
    raven.ok("agent", "run", printing, "--mode", "train", "--task-dir", mine)
    for run in raven.runs():
        assert "training on project with 1 classes" in (run / "console.log").read_text()


@pytest.mark.parametrize("ignores", [False, True], ids=["SIGTERM", "SIGKILL"])
def test_a_request_to_stop_ends_the_program(
    raven: Raven, printing: Path, project: Path, config: Callable[..., Path], ignores: bool
) -> None:
    path = config(epochs=100, sleep=0.5, ignore_sigterm=ignores)
    agent = raven.start(
        "agent", "run", printing, "--mode", "train", "--data", project, "--config", path, "--grace", "1"
    )
    run = wait_for(lambda: next((r for r in raven.runs() if events(r, "METRICS")), None))
    assert "interrupted" in raven.ok("runs", "stop", run.name)
    out, err = agent.communicate(timeout=PATIENCE)
    assert agent.returncode == 130, out + err
    assert "Stopped by a request to stop" in err
    assert record(run)["result"]["status"] == "interrupted"
    (task,) = tasks(raven)
    assert (task / "exit").read_text().strip() in (("137", "-9") if ignores else ("143", "-15"))


def test_an_agent_that_is_killed_is_taken_over_without_losing_or_doubling_anything(
    raven: Raven, printing: Path, project: Path, config: Callable[..., Path]
) -> None:
    path = config(epochs=12, sleep=0.3, say="".join(f"line {number}\n" for number in range(2000)))
    arguments = ["agent", "run", printing, "--mode", "train", "--data", project, "--config", path]
    agent = raven.start(*arguments)
    run = wait_for(lambda: next((r for r in raven.runs() if len(events(r, "METRICS")) > 3), None))
    os.killpg(agent.pid, signal.SIGKILL)
    agent.communicate()
    second = raven.start("agent", "attach")
    wait_for(lambda: len(events(run, "METRICS")) > 10)
    second.send_signal(signal.SIGKILL)
    second.communicate()
    said = raven.ok("agent", "attach", run.name)
    assert f"Took over {run.name}." in said
    kept = record(run)
    assert kept["result"]["status"] == "completed" and len(kept["attempts"]) == 1
    assert [event["id"] for event in events(run, "CHECKPOINT")] == list(range(12))
    losses = [e["epoch"] for e in events(run, "METRICS") if e["type"] == "train"]
    assert losses == list(range(1, 13))
    log = (run / "console.log").read_text().splitlines()
    assert [line for line in log if line.startswith("line ")] == [f"line {n}" for n in range(2000)]
    assert tasks(raven) == []


@pytest.mark.slow
def test_agents_that_are_killed_at_random_moments_lose_and_repeat_nothing(
    raven: Raven, printing: Path, project: Path, config: Callable[..., Path]
) -> None:
    chance = random.Random(5)
    path = config(epochs=60, sleep=0.1, say="".join(f"line {number}\n" for number in range(500)))
    agent = raven.start("agent", "run", printing, "--mode", "train", "--data", project, "--config", path)
    run = wait_for(lambda: next((r for r in raven.runs() if events(r, "METRICS")), None))
    for _ in range(15):
        time.sleep(chance.uniform(0.2, 1.2))
        agent.kill()
        agent.communicate()
        agent = raven.start("agent", "attach")
    agent.communicate(timeout=60)
    raven.ok("agent", "attach")  # where the last one was killed while it stored
    kept = record(run)
    assert kept["result"]["status"] == "completed" and kept["result"]["stored"]
    assert [event["id"] for event in events(run, "CHECKPOINT")] == list(range(60))
    assert [e["epoch"] for e in events(run, "METRICS") if e["type"] == "val"] == list(range(1, 61))
    log = (run / "console.log").read_text().splitlines()
    assert [line for line in log if line.startswith("line ")] == [f"line {n}" for n in range(500)]
    assert len([line for line in log if line.startswith("100%")]) == 60
    assert len(list((run / "checkpoints").rglob("model.bin"))) == 60 and tasks(raven) == []


def test_the_next_agent_takes_over_in_the_background(
    raven: Raven, printing: Path, project: Path, config: Callable[..., Path]
) -> None:
    path = config(epochs=6, sleep=0.3)
    agent = raven.start("agent", "run", printing, "--mode", "train", "--data", project, "--config", path)
    run = wait_for(lambda: next((r for r in raven.runs() if events(r, "METRICS")), None))
    agent.kill()
    agent.communicate()
    done = raven("agent", "run", printing, "--mode", "train", "--data", project)
    assert f"Took over {run.name}" in done.stderr
    wait_for(
        lambda: (record(run)["result"] or {}).get("status") == "completed" and record(run)["result"]["stored"]
    )
    wait_for(lambda: not tasks(raven))


def test_a_program_that_died_with_its_machine_is_found_failed(
    raven: Raven, printing: Path, project: Path, config: Callable[..., Path]
) -> None:
    path = config(epochs=100, sleep=0.3)
    agent = raven.start("agent", "run", printing, "--mode", "train", "--data", project, "--config", path)
    run = wait_for(lambda: next((r for r in raven.runs() if events(r, "METRICS")), None))
    (task,) = tasks(raven)
    agent.kill()
    agent.communicate()
    os.kill(int((task / "alive").read_text()), signal.SIGKILL)
    wait_for(lambda: not Path("/proc", (task / "alive").read_text().strip()).exists())
    done = raven("agent", "attach")
    assert done.returncode == 1 and "gone without an exit code" in done.stderr
    assert record(run)["result"]["status"] == "failed"
    assert raven("agent", "attach").returncode == 0, "it is not taken over twice"


def test_many_tasks_run_at_once_and_no_more_than_said(
    raven: Raven, printing: Path, project: Path, config: Callable[..., Path]
) -> None:
    path = config(epochs=2, sleep=0.4)
    arguments = ["agent", "run", printing, "--mode", "train", "--data", project, "--config", path]
    agents = [raven.start(*arguments, "--max-tasks", "2") for _ in range(5)]
    most = 0
    while any(agent.poll() is None for agent in agents):
        most = max(
            most, sum((task / "stdout").exists() and not (task / "exit").exists() for task in tasks(raven))
        )
    outcomes = [agent.communicate() for agent in agents]
    assert [agent.returncode for agent in agents] == [0] * 5, outcomes
    assert most == 2
    assert sum("Waiting" in err for _, err in outcomes) >= 1
    assert {record(run)["result"]["status"] for run in raven.runs()} == {"completed"} and len(
        raven.runs()
    ) == 5


def test_a_detached_task_is_seen_to_its_end(raven: Raven, printing: Path, project: Path) -> None:
    raven.ok("agent", "run", printing, "--mode", "train", "--data", project, "--detach")
    run = only_run(raven)
    wait_for(lambda: (record(run)["result"] or {}).get("stored"))


@pytest.mark.parametrize(
    ("arguments", "mend"),
    [
        (["--mode", "deploy"], "no src/deploy.py"),
        (["--mode", "train"], "name a project with --data"),
        (["--mode", "inference", "--data", "PROJECT"], "name a model-state.tar with --model"),
        (["--mode", "train", "--data", "nowhere"], "nowhere"),
        (["--mode", "train", "--data", "PROJECT", "--preset", "six epochs"], "two epochs, five epochs"),
        (["--mode", "train", "--data", "PROJECT", "--python", "no-python"], "--python no-python"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_leaves_nothing(
    raven: Raven, printing: Path, project: Path, arguments: list[str], mend: str
) -> None:
    done = raven("agent", "run", printing, *(str(project) if a == "PROJECT" else a for a in arguments))
    assert done.returncode == 2 and mend in done.stderr and "Traceback" not in done.stderr
    assert raven.runs() == [] and tasks(raven) == []
