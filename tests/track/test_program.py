"""``raven run``: any program, untouched, and all that it does is recorded."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from as_user import PATIENCE, Raven, wait_for, within

from ravenml.runs.events import read_events

THIRD_PARTY = Path(__file__).parent / "third_party"


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [event.fields for event in read_events(folder / "events.jsonl", kind)]


def run_python(raven: Raven, source: str, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    (raven.cwd / "script.py").write_text(dedent(source))
    return raven("run", *options, "--", sys.executable, "script.py", **env)


def test_somebody_elses_training_is_recorded_as_it_is(raven: Raven) -> None:
    shutil.copytree(THIRD_PARTY, raven.cwd / "their", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "their/train.py", "--lr", "0.1", "--out", "weights"]
    done = raven("run", "--project", "lines", "--name", "first", "--output", "weights", "--", *command)
    assert done.returncode == 0, done.stderr
    assert "done, see weights" in done.stdout and "epoch 4 |" in done.stderr
    (folder,) = raven.runs()
    said = record(folder)
    assert (said["kind"], said["plugin"], said["project"], said["name"]) == (
        "program",
        None,
        "lines",
        "first",
    )
    assert said["command"][-6:] == ["--", *command][-6:] and said["result"]["exit_code"] == 0
    assert said["provenance"]["packages"]["numpy"] and said["provenance"]["machine"]["cores"] >= 1
    log = (folder / "console.log").read_text()
    assert "fitting 20 points" in log and "\r" not in log
    assert len(re.findall(r"^epoch \d \|", log, re.MULTILINE)) == 5  # a line per bar, not twenty
    losses = [e for e in events(folder, "METRICS") if e["type"] == "Loss"]
    assert [(e["step"], list(e["metrics"])) for e in losses] == [(n, ["train"]) for n in range(5)]
    assert losses[-1]["metrics"]["train"] < losses[0]["metrics"]["train"]
    assert said["result"]["metrics"]["scalar/slope"] > 0
    (picture,) = events(folder, "IMAGE")
    assert picture["step"] == 4 and (folder / picture["file"]).read_bytes().startswith(b"\x89PNG")
    assert (folder / "artifacts" / "weights" / "line.npz").stat().st_size > 0
    assert any(e["file"] == "artifacts/weights/line.npz" for e in events(folder, "ARTIFACT"))
    assert raven.ok("runs", "list").count("completed") == 1


def test_the_exit_code_is_passed_on_and_the_record_says_failed(raven: Raven) -> None:
    assert run_python(raven, "raise SystemExit(7)").returncode == 7
    result = record(raven.runs()[0])["result"]
    assert (result["status"], result["exit_code"]) == ("failed", 7) and "exit code 7" in result["error"]


def test_why_it_failed_is_the_error_and_not_what_was_printed_after_it(raven: Raven) -> None:
    source = """
        import sys
        print("\x1b[31m[rank0]: ValueError: lr is negative, token=hf_abcdefghijklmnopqrstuvwxyz01234\x1b[0m")
        print("[rank0]:[W1130 10:00:00 group.cpp:1496] Warning: destroy_process_group() was not called")
        sys.exit(3)
    """
    run_python(raven, source)
    error = record(raven.runs()[0])["result"]["error"]
    assert "python ended with exit code 3: [rank0]: ValueError: lr is negative" in error
    assert "hf_abc" not in error and "\x1b" not in error


def test_a_program_that_crashes_is_said_to_have_been_ended_by_its_signal(raven: Raven) -> None:
    done = run_python(raven, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == 128 + signal.SIGKILL
    assert "SIGKILL" in record(raven.runs()[0])["result"]["error"]


def test_both_streams_are_passed_on_and_recorded_in_order_of_arrival(raven: Raven) -> None:
    source = """
        import sys, time
        for i in range(20):
            print("line", i, file=(sys.stdout, sys.stderr)[i % 2]); time.sleep(0.05)
    """
    done = run_python(raven, source)
    assert done.stdout.splitlines() == [f"line {i}" for i in range(0, 20, 2)]
    assert done.stderr.splitlines() == [f"line {i}" for i in range(1, 20, 2)]
    log = (raven.runs()[0] / "console.log").read_text()
    assert log.splitlines() == [f"line {i}" for i in range(20)]


def test_streams_that_lead_to_one_place_keep_their_exact_order(raven: Raven) -> None:
    source = "import sys\nfor i in range(2000): print(i, file=(sys.stdout, sys.stderr)[i % 2])"
    (raven.cwd / "script.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-m", "ravenml", "run", "--", sys.executable, "script.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=raven.env(),
        cwd=raven.cwd,
        text=True,
    )
    assert done.stdout.split() == [str(i) for i in range(2000)]
    assert (raven.runs()[0] / "console.log").read_text() == done.stdout


def test_events_that_it_prints_or_writes_become_events_of_the_run(raven: Raven) -> None:
    source = """
        import json, os, sys
        event = {"message": "metrics", "event_type": "EventType.METRICS", "type": "val", "epoch": 1,
                 "metrics": {"miou": 0.25}, "step": 3}
        print("\\r 50 %|####", end="\\r", file=sys.stderr); print(json.dumps(event), file=sys.stderr)
        with open(os.environ["RAVENML_EVENTS"], "a") as file:
            file.write(json.dumps({**event, "type": "train", "metrics": {"loss": float(2)}}) + "\\n")
        print(json.dumps({"event_type": "EventType.TASK_CRASHED", "message": "not for a program to say"}))
    """
    assert run_python(raven, source).returncode == 0
    (folder,) = raven.runs()
    assert record(folder)["result"]["metrics"] == {"val/miou": 0.25, "train/loss": 2.0}
    assert not events(folder, "TASK_CRASHED") and len(events(folder, "TASK_FINISHED")) == 1


def test_programs_side_by_side_in_one_folder_keep_their_numbers_apart(raven: Raven) -> None:
    source = """
        import sys, time
        from tensorboardX import SummaryWriter
        writer = SummaryWriter(f"runs/{sys.argv[1]}")
        writer.add_scalar("val/number", float(sys.argv[1]), 0); writer.flush()
        time.sleep(3 if sys.argv[1] == "1" else 1.5)
        writer.close()
    """
    (raven.cwd / "script.py").write_text(dedent(source))
    started = [raven.start("run", "--name", n, "--", sys.executable, "script.py", n) for n in ("1", "2", "3")]
    assert [process.wait(timeout=60) for process in started] == [0, 0, 0]
    for folder in raven.runs():
        said = record(folder)
        assert said["result"]["metrics"] == {"val/number": float(said["name"])}


def test_only_what_is_new_in_an_output_folder_is_kept(raven: Raven) -> None:
    (raven.cwd / "out").mkdir()
    (raven.cwd / "out" / "old.txt").write_text("was there")
    (raven.cwd / "out" / "changed.txt").write_text("before")
    source = """
        import os
        open("out/changed.txt", "w").write("afterwards"); os.makedirs("out/deep"); os.makedirs("two/out")
        open("out/deep/new.txt", "w").write("new"); open("two/out/new.txt", "w").write("other")
    """
    assert run_python(raven, source, "--output", "out", "--output", "two/out").returncode == 0
    kept = raven.runs()[0] / "artifacts"
    names = sorted(path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file())
    assert names == ["out/changed.txt", "out/deep/new.txt", "out_2/new.txt"]


def test_uncommitted_changes_are_recorded_as_they_were_before_it_ran(raven: Raven) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    script = raven.cwd / "script.py"
    script.write_text("open('script.py', 'a').write('# changed by itself')\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], cwd=raven.cwd, check=True)
    script.write_text("# mine\n" + script.read_text())
    assert raven("run", "--", sys.executable, "script.py").returncode == 0
    (folder,) = raven.runs()
    state = record(folder)["provenance"]["code"]["working folder"]
    diff = (folder / state["diff"]).read_text()
    assert len(state["commit"]) == 40 and "+# mine" in diff and "by itself')" not in diff.split("+# mine")[0]
    assert "\n+open" not in diff


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_program_which_may_end_in_its_own_way(
    raven: Raven, number: signal.Signals
) -> None:
    source = f"""
        import signal, sys, time
        def told(*_): print("saving", flush=True); time.sleep(0.2); print("saved"); sys.exit(3)
        signal.signal({int(number)}, told)
        print("ready", flush=True)
        while True: time.sleep(0.1)  # one long sleep misses a signal that comes just before it
    """
    (raven.cwd / "script.py").write_text(dedent(source))
    process = raven.start("run", "--", sys.executable, "script.py")
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, _ = process.communicate(timeout=PATIENCE)
    assert out.split() == ["saving", "saved"] and process.returncode == 3
    assert record(raven.runs()[0])["result"]["status"] == "interrupted"


def test_a_request_in_control_json_ends_it(raven: Raven) -> None:
    (raven.cwd / "script.py").write_text("print('ready', flush=True)\nimport time; time.sleep(600)")
    process = raven.start("run", "--", sys.executable, "script.py")
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    (raven.runs()[0] / "control.json").write_text('{"request": "stop"}')
    assert process.wait(timeout=PATIENCE) == 128 + signal.SIGTERM
    assert "request" in record(raven.runs()[0])["result"]["reason"]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found by Linux's /proc")
def test_kill_ends_a_program_that_ignores_signals_with_all_that_it_started(raven: Raven) -> None:
    source = """
        import os, signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        detached = subprocess.Popen(["sleep", "600"], start_new_session=True)
        print("started", detached.pid, flush=True)
        time.sleep(600)
    """
    (raven.cwd / "script.py").write_text(dedent(source))
    process = raven.start("run", "--", sys.executable, "script.py")
    folder = wait_for(lambda: raven.runs() and raven.runs()[0])
    wait_for(lambda: "started" in (folder / "console.log").read_text())
    detached = int((folder / "console.log").read_text().split()[1])
    done = raven("runs", "stop", folder.name, "--grace", "0.2", "--kill")
    assert done.returncode == 0 and "SIGKILL to the program's 2 processes" in done.stderr, done.stderr
    assert process.wait(PATIENCE) == 128 + signal.SIGKILL
    assert record(folder)["result"]["status"] == "interrupted"
    stat = Path(f"/proc/{detached}/stat")
    wait_for(lambda: not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z")


def test_on_a_terminal_the_program_sees_a_terminal_and_ctrl_c_reaches_it_once(raven: Raven) -> None:
    source = """
        import os, sys, time
        times = 0
        try:
            print("tty", sys.stdout.isatty(), sys.stderr.isatty(), os.get_terminal_size().columns, flush=True)
            while True: time.sleep(0.1)
        except KeyboardInterrupt: times += 1
        time.sleep(0.5)
        print("interrupted", times)
        raise SystemExit(5)
    """
    (raven.cwd / "script.py").write_text(dedent(source))
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(raven.cwd)
        import fcntl
        import struct
        import termios

        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
        command = [sys.executable, "-m", "ravenml", "run", "--", sys.executable, "script.py"]
        os.execve(sys.executable, command, raven.env())
    seen = b""
    while b"tty" not in seen or b"\n" not in seen.split(b"tty")[1]:
        try:
            seen += os.read(terminal, 1000)
        except OSError:
            pytest.fail(f"It ended with {os.waitpid(pid, 0)[1]} before it began, after: {seen.decode()}")
    os.write(terminal, b"\x03")
    try:
        while piece := os.read(terminal, 1000):
            seen += piece
    except OSError:
        pass
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    text = seen.decode()
    assert "tty True True 77\r\n" in text and "interrupted 1\r\n" in text and "\r\r" not in text
    assert os.waitstatus_to_exitcode(status) == 5
    (folder,) = raven.runs()
    assert "tty True True 77\n" in (folder / "console.log").read_text()
    assert record(folder)["result"]["status"] == "interrupted" and str(folder) in text


def test_a_process_that_outlives_the_program_does_not_hold_it_up(raven: Raven) -> None:
    source = "import subprocess; subprocess.Popen(['sleep', '30']); print('left one behind')"
    with within(15):
        assert run_python(raven, source).stdout == "left one behind\n"


def test_a_program_that_is_under_way_shows_as_running_and_its_log_grows(raven: Raven) -> None:
    (raven.cwd / "script.py").write_text("print('ready')\nimport time; time.sleep(600)")
    process = raven.start("run", "--", sys.executable, "script.py")
    folder = wait_for(lambda: raven.runs() and raven.runs()[0])
    wait_for(lambda: "ready" in (folder / "console.log").read_text())
    assert "running" in raven.ok("runs", "list")
    process.kill()
    process.wait()
    assert "lost" in raven.ok("runs", "list")


@pytest.mark.parametrize(
    ("program", "code", "told"),
    [
        (["no_such_program"], 127, "no such program"),
        (["./script.py"], 126, "did you mean: raven run -- python ./script.py"),
        (["python script.py"], 127, "as separate words"),
        (["."], 127, "no such program"),
    ],
)
def test_what_cannot_be_run_gets_a_sentence_and_leaves_nothing(
    raven: Raven, program: list[str], code: int, told: str
) -> None:
    (raven.cwd / "script.py").write_text("")
    done = raven("run", "--", *program)
    assert done.returncode == code and told in done.stderr and "Traceback" not in done.stderr
    assert raven.runs() == []


def test_secrets_on_the_command_line_are_not_recorded(raven: Raven) -> None:
    raven("run", "--", sys.executable, "-c", "pass", "--api-key", "abc123", "--password=hunter2")
    assert not {"abc123", "hunter2"} & set(re.findall(r"\w+", (raven.runs()[0] / "run.json").read_text()))


def test_the_use_of_resources_is_recorded_every_few_seconds(raven: Raven) -> None:
    assert run_python(raven, "import time; x = bytearray(60_000_000); time.sleep(7)").returncode == 0
    measured = [e["resources"] for e in events(raven.runs()[0], "RESOURCES")]
    assert measured
    assert 0 <= measured[0]["cpu_percent"] <= 100 and measured[0]["process_memory_bytes"] > 60_000_000
    assert {"memory_percent", "network_sent_bytes_per_s"} <= set(measured[0])
