"""``from ravenml import Task, Logger``: ClearML's names, without a server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from as_user import PATIENCE, Raven

from ravenml.runs.events import read_events
from ravenml.task.recorded import list_parameters

BUCKET = "artifacts"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [event.fields for event in read_events(folder / "events.jsonl", kind)]


def python(raven: Raven, source: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A script as its user starts it, without ``raven run``."""
    (raven.cwd / "train.py").write_text(dedent(source))
    return subprocess.run(
        [sys.executable, "train.py", *arguments],
        capture_output=True,
        text=True,
        env=raven.env(**env),
        cwd=raven.cwd,
        timeout=100,
    )


SCRIPT = """
    import argparse
    import numpy as np
    from ravenml import Task, Logger
    task = Task.init(project_name="roads", task_name="first", task_type="training", tags=["a"])
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--data", default="d")
    args = parser.parse_args()
    params = task.connect({"epochs": 2, "deep": {"x": 1}, "api_key": "s3cret"})
    for step in range(params["epochs"]):
        task.get_logger().report_scalar("val", "miou", 0.5 + step * args.lr, step)
    black = np.zeros((4, 6, 3), np.uint8)
    Logger.current_logger().report_image("pictures", "a b/c", iteration=1, image=black)
    task.get_logger().report_text("half way")
    task.get_logger().report_table("scores", "all", 1, table_plot=[["class", "iou"], ["road", 0.5]])
    task.get_logger().report_histogram("weights", "first", values=[1, 2, 3], iteration=0)
    task.upload_artifact("numbers", {"a": 1})
    task.upload_artifact("array", np.arange(3))
    task.upload_artifact("script", "train.py")
    print("lr", args.lr, "epochs", params["epochs"])
"""


@pytest.mark.parametrize("around", [False, True])
def test_a_script_says_the_same_with_and_without_raven_run(raven: Raven, around: bool) -> None:
    if around:
        (raven.cwd / "train.py").write_text(dedent(SCRIPT))
        done = raven("run", "--", sys.executable, "train.py", "--lr", "0.25")
    else:
        done = python(raven, SCRIPT, "--lr", "0.25")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "half way\nlr 0.25 epochs 2\n"
    (folder,) = raven.runs()
    said = record(folder)
    assert (said["kind"], said["project"], said["name"]) == ("program", "roads", "first")
    assert said["parameters"] == {
        "lr": 0.25,
        "data": "d",
        "epochs": 2,
        "deep": {"x": 1},
        "api_key": "***",
    }
    assert said["tags"] == ["a"] and said["result"]["status"] == "completed"
    assert [(e["step"], e["metrics"]) for e in events(folder, "METRICS")] == [
        (0, {"miou": 0.5}),
        (1, {"miou": 0.75}),
    ]
    assert said["result"]["metrics"] == {"val/miou": 0.75}
    (picture,) = events(folder, "IMAGE")
    assert (folder / picture["file"]).read_bytes().startswith(b"\x89PNG") and picture["step"] == 1
    assert [e["message"] for e in events(folder, "TEXT")] == ["half way"]
    artifacts = {
        path.relative_to(folder / "artifacts").as_posix() for path in folder.glob("artifacts/**/*.*")
    }
    table = "table/scores/all_000001.csv"
    plot = "histogram/weights/first_000000.json"
    assert artifacts == {table, plot, "numbers.json", "array.npz", "script/train.py"}
    assert (folder / "artifacts" / table).read_text().split() == ["class,iou", "road,0.5"]
    assert "lr 0.25 epochs 2" in (folder / "console.log").read_text()
    assert folder.name in raven.ok("runs", "list", "--tag", "a", "--where", "epochs=2 and lr>0.2")


def test_the_name_on_the_command_line_stays(raven: Raven) -> None:
    (raven.cwd / "train.py").write_text("from ravenml import Task; Task.init('theirs', 'theirs')")
    raven.ok("run", "--name", "mine", "--", sys.executable, "train.py")
    said = record(raven.runs()[0])
    assert (said["project"], said["name"]) == ("theirs", "mine")


def test_what_is_set_in_a_connected_dictionary_later_is_recorded(raven: Raven) -> None:
    source = """
        import copy, json, pickle
        from ravenml import Task
        task = Task.init("p", "n")
        params = task.connect({"net": {"depth": 2}})
        params["lr"] = 0.5
        params.update(epochs=3)
        params["net"]["depth"] = 4
        params["space"] = {"width": [1, 2]}
        params["space"]["height"] = 5
        params |= {"seed": 1}
        optimizer = task.connect({}, name="Optimizer")
        optimizer.setdefault("beta", 0.9)
        optimizer["beta"] *= 2
        for same in (copy.deepcopy(params), pickle.loads(pickle.dumps(params))):
            assert type(same) is dict and same == params
        print(json.dumps(params), isinstance(params, dict), optimizer)
    """
    given = {"lr": "0.25", "Optimizer.beta": 0.5}
    done = python(raven, source, RAVENML_PARAMETERS=json.dumps(given))
    assert done.returncode == 0, done.stderr
    params = {
        "net": {"depth": 4},
        "lr": 0.25,
        "epochs": 3,
        "space": {"width": [1, 2], "height": 5},
        "seed": 1,
    }
    assert done.stdout == f"{json.dumps(params)} True {{'beta': 1.0}}\n"
    assert record(raven.runs()[0])["parameters"] == {**params, "Optimizer": {"beta": 1.0}}


@pytest.mark.parametrize("end", ["", "raise ValueError('no data')", "time.sleep(1); os._exit(1)"])
def test_a_dictionary_that_changes_often_is_written_a_few_times_and_its_last_values_are_there(
    raven: Raven, end: str
) -> None:
    source = f"""
        import os, time
        from pathlib import Path
        from ravenml import Task
        task = Task.init("p", "n")
        params = task.connect({{"step": 0, "net": {{"depth": 2}}}})
        run = next(Path(os.environ["RAVENML_STORAGE_PATH"], "runs").glob("2*/run.json"))
        began, written, seen = time.monotonic(), 0, None
        for step in range(1000):
            params["step"] = step
            params["net"]["depth"] = step
            now = run.stat().st_mtime_ns
            written, seen = written + (now != seen), now
        allowed = 2 + (time.monotonic() - began) / 0.2
        assert written <= allowed, (written, allowed)
        if os.fork() == 0:
            params["child"] = 1
            os._exit(0)
        os.wait()
        {end}
    """
    done = python(raven, source)
    assert "AssertionError" not in done.stderr
    assert record(raven.runs()[0])["parameters"] == {"step": 999, "net": {"depth": 999}, "child": 1}


def test_arguments_that_a_script_sets_before_it_begins_its_task_are_recorded_as_set(raven: Raven) -> None:
    source = """
        import argparse, enum
        from ravenml import Task
        class Color(enum.Enum): RED = 1; BLUE = "blue"
        parser = argparse.ArgumentParser()
        parser.add_argument("--lr", type=float, default=0.1)
        parser.add_argument("--no-cuda", action="store_true")
        parser.add_argument("--color", type=Color, default=Color.RED)
        args = parser.parse_args()
        args.cuda = not args.no_cuda
        args.lr *= 2
        args.model = object()
        task = Task.init("p", "n")
        args.lr = args.late = 9
        task.connect({"color": Color.BLUE}, "Net")
    """
    done = python(raven, source, "--lr", "0.25")
    assert done.returncode == 0, done.stderr
    assert record(raven.runs()[0])["parameters"] == {
        **{"lr": 0.5, "no_cuda": False, "cuda": True, "color": "Color.RED"},  # as ClearML spells a member
        "Net": {"color": "BLUE"},
    }


def test_a_member_of_an_enumeration_is_overridden_by_its_name(raven: Raven) -> None:
    source = """
        import enum
        from ravenml import Task
        class Color(enum.Enum): RED = 1; BLUE = "blue"
        class Settings: color = Color.RED
        task = Task.init("p", "n")
        print(task.connect({"color": Color.RED}), task.connect(Settings(), "Net").color)
    """
    given = {"color": "BLUE", "Net.color": "Color.BLUE"}
    done = python(raven, source, RAVENML_PARAMETERS=json.dumps(given))
    assert done.stdout == "{'color': <Color.BLUE: 'blue'>} Color.BLUE\n", done.stderr
    assert record(raven.runs()[0])["parameters"] == {"color": "BLUE", "Net": {"color": "BLUE"}}


def test_parameters_are_overridden_by_what_clone_hands_over(raven: Raven) -> None:
    source = """
        import argparse
        import click
        from ravenml import Task
        class Settings: depth = 3; wide = True; name = "a"
        task = Task.init("p", "n")
        settings = task.connect(Settings(), name="Net")
        parser = argparse.ArgumentParser(); parser.add_argument("--lr", type=float, default=0.1)
        args = parser.parse_args(["--lr", "5"])
        @click.command()
        @click.option("--size", type=int, default=1)
        def main(size): print(args.lr, settings.depth, settings.wide, settings.name, size)
        main([], standalone_mode=False)
    """
    given = {"lr": "0.5", "Net.depth": "7", "Net.wide": "false", "Net.name": "12", "size": "4"}
    done = python(raven, source, RAVENML_PARAMETERS=json.dumps(given))
    assert done.stdout == "0.5 7 False 12 4\n", done.stderr
    net = {"depth": 7, "wide": False, "name": "12"}
    assert record(raven.runs()[0])["parameters"] == {"Net": net, "lr": 0.5, "size": 4}


@pytest.mark.parametrize(
    ("ending", "code", "status", "why"),
    [
        ("raise ValueError('too deep')", 1, "failed", "ValueError: too deep"),
        ("import sys; sys.exit(3)", 3, "failed", "3"),
        ("import sys; sys.exit(0)", 0, "completed", ""),
        ("exit(3)", 3, "failed", "3"),
        ("exit(0)", 0, "completed", ""),
        ("try:\n    exit(3)\nfinally:\n    print('cleaned up')", 3, "failed", "3"),
        ("try:\n    exit(3)\nexcept SystemExit:\n    pass\nprint('went on')", 0, "completed", ""),
        ("raise KeyboardInterrupt", -signal.SIGINT, "interrupted", "Ctrl-C"),
        ("task.mark_failed(status_reason='bad data')", 0, "failed", "bad data"),
        ("task.close()", 0, "completed", ""),
    ],
)
def test_however_it_ends_the_run_is_sealed(
    raven: Raven, ending: str, code: int, status: str, why: str
) -> None:
    done = python(raven, f"from ravenml import Task\ntask = Task.init('p', 'n')\n{ending}")
    assert done.returncode == code
    result = record(raven.runs()[0])["result"]
    assert result["status"] == status and why in str(result.get("error") or result.get("reason") or "")
    if status == "failed" and "Value" in why:
        assert "Traceback" in done.stderr and "too deep" in (raven.runs()[0] / "console.log").read_text()


def test_a_script_that_is_terminated_is_interrupted(raven: Raven) -> None:
    source = "from ravenml import Task; import time; Task.init(); print('ready', flush=True)"
    source += "\nwhile True: time.sleep(0.1)"
    (raven.cwd / "train.py").write_text(source)
    process = subprocess.Popen(
        [sys.executable, "train.py"], env=raven.env(), cwd=raven.cwd, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    process.terminate()
    assert process.wait(PATIENCE) == 143
    assert record(raven.runs()[0])["result"]["status"] == "interrupted"


def test_init_again_gives_the_same_task_and_what_is_unknown_gets_a_sentence(raven: Raven) -> None:
    source = """
        from ravenml import Task, Logger
        assert Logger.current_logger() is None and Task.current_task() is None
        assert Task.init("p", "n") is Task.init("p", "n") is Task.current_task()
        Task.current_task().no_such_name({})
    """
    done = python(raven, source)
    assert "Task has no `no_such_name`; docs/tracking.md" in done.stderr
    assert len(raven.runs()) == 1


def test_importing_ravenml_alone_loads_nothing() -> None:
    source = "import sys; import ravenml; print(*[n for n in sys.modules if n.startswith('ravenml')])"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.stdout.split() == ["ravenml"]


def test_a_task_loads_neither_torch_nor_click_nor_numpy(raven: Raven) -> None:
    source = """
        import sys
        from ravenml import Task
        Task.init().get_logger().report_scalar("a", "b", 1.5, 1)
        print({"torch", "click", "numpy", "cv2", "boto3", "clearml"} & set(sys.modules))
    """
    assert python(raven, source).stdout == "set()\n"


def test_what_torch_saves_goes_to_the_output_folder(raven: Raven, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    source = f"""
        from ravenml import Task
        task = Task.init("roads", "first net", output_uri={str(tmp_path / "out")!r})
        import torch
        for n in range(3): torch.save({{"n": torch.tensor(n)}}, "model.pth")
        import io; torch.save(torch.zeros(1), io.BytesIO())
        task.upload_artifact("notes", "some words")
    """
    assert python(raven, source).returncode == 0
    sent = {path.name: path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    (folder,) = raven.runs()
    assert sent["model.pth"].parent.parent.name == f"first_net.{folder.name}"
    import torch

    assert int(torch.load(sent["model.pth"])["n"]) == 2
    assert sent["notes.txt"].read_text() == "some words"
    assert any(str(e.get("uri", "")).endswith("models/model.pth") for e in events(folder, "ARTIFACT"))
    assert not (folder / ".sending").exists()


@pytest.fixture(scope="module")
def minio() -> Iterator[str]:
    """A server that speaks S3 on this machine, with a model and a folder of data in a bucket."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    port = server.get_host_and_port()[1]
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key="models/backbone.pkl", Body=b"weights" * 1000)
    for number in range(3):
        client.put_object(Bucket=BUCKET, Key=f"data/balloon/{number}.jpg", Body=b"%d" % number)
    yield f"127.0.0.1:{port}"
    server.stop()


# The preamble of a training with a detection library as it is written for ClearML, with one name changed.
PREAMBLE = """
    import os
    from clearml import Task, Logger
    task = Task.init(project_name="DETECTRON2", task_name="Train", task_type="training",
                     output_uri="s3://ENDPOINT/artifacts/output")
    task.set_base_docker("registry/custom/detectron2:v3 --env GIT_SSL_NO_VERIFY=true "
                         "--env TRAINS_AGENT_GIT_USER=testuser -e PASS=hunter2")
    task.execute_remotely(queue_name="single_gpu", exit_process=True)

    import boto3
    from botocore.client import Config
    import numpy as np

    s3 = boto3.resource("s3", endpoint_url="http://ENDPOINT", aws_access_key_id="test",
                        aws_secret_access_key="test", config=Config(signature_version="s3v4"),
                        region_name="us-east-1")

    def download_folder(bucket_name, folder, local_dir=None):
        bucket = s3.Bucket(bucket_name)
        for obj in bucket.objects.filter(Prefix=folder):
            target = obj.key if local_dir is None \\
                else os.path.join(local_dir, os.path.relpath(obj.key, folder))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            bucket.download_file(obj.key, target)

    os.makedirs("models", exist_ok=True)
    s3.Bucket("artifacts").download_file("models/backbone.pkl", "models/backbone.pkl")
    download_folder("artifacts", "data/balloon", "balloon")

    params = {"lr": 0.00025, "max_iter": 3}
    task.connect(params)
    logger = task.get_logger()
    for iteration in range(params["max_iter"]):
        logger.report_scalar("loss", "total", value=1 / (iteration + 1), iteration=iteration)
    logger.report_image(title="image", series="image color", iteration=1,
                        image=np.full((8, 8, 3), 100, np.uint8))
    task.upload_artifact("config", {"base": "mask_rcnn"})
    print(len(os.listdir("balloon")), os.path.getsize("models/backbone.pkl"))
"""


def ported(endpoint: str) -> str:
    return PREAMBLE.replace("from clearml import", "from ravenml import").replace("ENDPOINT", endpoint)


def test_a_clearml_script_runs_on_the_worker_with_one_name_changed(raven: Raven, minio: str) -> None:
    done = python(raven, ported(minio), RAVENML_WORKER="1", **CREDENTIALS)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "3 7000\n"
    (folder,) = raven.runs()
    said = record(folder)
    assert (said["project"], said["name"], said["parameters"]["lr"]) == ("DETECTRON2", "Train", 0.00025)
    assert said["container"]["image"] == "registry/custom/detectron2:v3"
    names = ["GIT_SSL_NO_VERIFY=***", "TRAINS_AGENT_GIT_USER=***", "PASS=***"]
    assert [a for a in said["container"]["arguments"] if "=" in a] == names
    everything = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"hunter2" not in everything and b"testuser" not in everything
    assert said["result"]["metrics"] == {"loss/total": 1 / 3}
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=f"http://{minio}",
        **{"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"},
    )
    keys = [o["Key"] for o in client.list_objects_v2(Bucket=BUCKET, Prefix="output/")["Contents"]]
    assert keys == [f"output/DETECTRON2/Train.{folder.name}/artifacts/config/config.json"]


def test_on_the_laptop_it_is_handed_over_before_anything_heavy_is_imported(raven: Raven, minio: str) -> None:
    done = python(raven, ported(minio) + "\n    raise AssertionError\n", **CREDENTIALS)
    assert not {"AssertionError", "Traceback"} & set(done.stderr.replace(":", " ").split())
    assert not (raven.cwd / "models").exists()
    assert "single_gpu" in done.stdout + done.stderr  # where to look; or, without such a queue, a sentence


def test_tags_are_added_to_those_that_are_there(raven: Raven) -> None:
    source = "from ravenml import Task\nt = Task.init(tags=['a'])\nt.add_tags('b')\nt.add_tags(['a', 'c'])"
    assert python(raven, source).returncode == 0
    (raven.cwd / "train.py").write_text(source)
    raven.ok("run", "--", sys.executable, "train.py")
    assert [record(folder)["tags"] for folder in raven.runs()] == [["a", "b", "c"]] * 2


@pytest.mark.parametrize(
    ("source", "arguments", "named"),
    [
        (
            "import fire\ndef main(lr=0.1, name='a'): pass\nfire.Fire(main)",
            ["--lr=0.5"],
            {"Args/lr": 0.5, "Args/name": "a"},
        ),
        (
            "from absl import app, flags\nflags.DEFINE_float('lr', 0.1, '')\napp.run(lambda _: None)",
            ["--lr=0.5"],
            {"TF_DEFINE/lr": 0.5},
        ),
        (
            "from jsonargparse import ArgumentParser\nparser = ArgumentParser()\n"
            "parser.add_argument('--net.lr', default=0.1, type=float)\nparser.parse_args()",
            ["--net.lr=0.5"],
            {"Args/net.lr": 0.5},
        ),
    ],
    ids=["fire", "absl", "jsonargparse"],
)
def test_what_other_libraries_parse_is_recorded_and_not_their_own_flags(
    raven: Raven, source: str, arguments: list[str], named: dict[str, Any]
) -> None:
    pytest.importorskip(source.split()[1])
    done = python(raven, f"from ravenml.task import Task\nTask.init('p', 'n')\n{source}", *arguments)
    assert done.returncode == 0, done.stderr
    (folder,) = raven.runs()
    said = record(folder)
    assert list_parameters(said["parameters"], said["sections"], cast=True) == named
    name = next(iter(named)).partition("/")[2]
    shown = raven.ok("runs", "clone", folder.name, "--set", f"{name}=9", "--dry-run")
    assert shown.strip().endswith("=9")  # on the command line, where the library reads it
