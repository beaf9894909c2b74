"""`raven serve` as a process: its address, its end, its workers, and what it refuses."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra ravenml[serve] is not installed")
from as_user import PATIENCE, Raven, address_in, start_raven, wait_for
from predicting import pack, write_predicting_plugins
from serving import picture
from throwaway import write_plugin

from ravenml.errors import RavenError
from ravenml.serve import Client

SLOW = """
import time
import numpy as np

class Slow:
    task, classes, input_size = "segmentation", ["__bg__", "red"], (16, 16)

    def predict(self, images, want="labels"):
        time.sleep(0.3)
        return (images[..., 0] > 127).astype(np.uint8)

def load(model_dir, device="auto"):
    return Slow()
"""


@pytest.fixture(autouse=True)
def plugins(site: Path) -> None:
    write_predicting_plugins(site)
    write_plugin(
        site,
        "slow",
        "",
        files={"predict.py": SLOW},
        more_entry_points="[ravenml.plugins.predict]\nslow = ravenml_slow.predict:load",
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return pack(tmp_path / "model.tar")


@contextmanager
def started(raven: Raven, *arguments: str | Path, **env: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``raven serve`` and the address that it printed."""
    process = raven.start("serve", *arguments, "--port", "0", PYTHONUNBUFFERED="1", **env)
    try:
        assert process.stdout is not None
        printed = ""
        for line in process.stdout:
            printed += line
            if line.startswith("Docs:"):
                break
        else:
            raise AssertionError(process.stderr.read() if process.stderr else "")
        address = address_in(printed, token=env.get("RAVENML_TOKEN", ""))
        assert address is not None
        yield process, address
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=PATIENCE)


def test_the_printed_address_is_all_that_is_needed(raven: Raven, model: Path) -> None:
    with started(raven, model) as (process, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[0-9a-f]{48}", address)
        assert Client(address).predict(picture())["objects"][0]["classTitle"] == "red"
        with pytest.raises(RavenError, match="A token is needed"):
            Client(address.partition("?")[0]).predict(picture())
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
        assert (
            process.returncode == 0 and out == "Stopped; all accepted requests were answered.\n" and err == ""
        )


def test_a_terminal_shows_the_token_and_a_log_says_where_it_is(raven: Raven, model: Path) -> None:
    ours, theirs = pty.openpty()
    env = raven.env(PYTHONUNBUFFERED="1")
    process = start_raven(
        "serve", model, "--port", "0", env=env, cwd=raven.cwd, stdout=theirs, start_new_session=True
    )
    os.close(theirs)
    shown = ""
    while "Docs:" not in shown:
        shown += os.read(ours, 4096).decode()
    address = re.search(r"Open:  (http://127\.0\.0\.1:\d+/\?token=[0-9a-f]{48})\r\n", shown)
    assert address is not None and Client(address[1]).healthy() and "Token:" not in shown
    process.terminate()
    process.wait(PATIENCE)
    os.close(ours)

    process = raven.start("serve", model, "--port", "0", PYTHONUNBUFFERED="1")
    assert process.stdout is not None
    printed = "".join(
        iter(lambda: process.stdout.readline(), "Docs:  /docs for the API; press Ctrl-C to stop.\n")
    )
    file = raven.home / "tokens" / "serve"
    token = file.read_text()
    assert address[1].endswith(token)  # the same as before the restart
    assert f"Token: in {file}\n" in printed and token not in printed
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700
    process.terminate()
    out, err = process.communicate(timeout=PATIENCE)
    assert token not in out + err


def test_no_process_of_the_server_has_the_token_in_its_environment_or_command_line(
    raven: Raven, model: Path
) -> None:
    secret = "a-secret-of-sixteen-or-more"
    with started(raven, model, "--processes", "2", RAVENML_TOKEN=secret) as (process, address):
        wait_for(Client(address).healthy)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 2
        for child in children:
            for told in ("environ", "cmdline"):
                assert secret.encode() not in Path(f"/proc/{child}/{told}").read_bytes()


def test_the_token_may_be_one_s_own_or_none(raven: Raven, model: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token-out-of-a-file\n")
    with started(raven, model, "--token-file", tmp_path / "token") as (_, address):
        assert address.endswith("/?token=a-token-out-of-a-file") and Client(address).healthy()
    with started(raven, model, "--no-token") as (_, address):
        assert "token" not in address and Client(address).healthy()
    refused = raven("serve", model, RAVENML_TOKEN="short")
    assert refused.returncode == 2 and "at least 16 characters" in refused.stderr


def test_sigterm_and_ctrl_c_finish_what_was_accepted(raven: Raven, tmp_path: Path) -> None:
    slow = pack(tmp_path / "slow.tar", "slow")
    for number in (signal.SIGTERM, signal.SIGINT):
        with (
            started(raven, slow, "--max-batch", "1") as (process, address),
            ThreadPoolExecutor(4) as pool,
        ):
            client = Client(address)
            answers = [pool.submit(client.predict, picture()) for _ in range(4)]  # 1.2 s of work
            time.sleep(0.5)
            process.send_signal(number)
            assert [len(one.result()["objects"]) for one in answers] == [1] * 4
            assert process.wait(timeout=PATIENCE) == 0
            assert not Client(address, patience=0).healthy()


def test_several_workers_answer_on_one_address(raven: Raven, tmp_path: Path) -> None:
    slow = pack(tmp_path / "slow.tar", "slow")
    with started(raven, slow, "--processes", "2", "--max-batch", "1") as (process, address):
        client = Client(address)
        wait_for(client.healthy)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        first = children.read_text().split()
        assert len(first) == 2
        with ThreadPoolExecutor(8) as pool:
            assert all(one["objects"] for one in pool.map(client.predict, [picture()] * 8))
        # the counters are those of all workers together, whichever answers
        text = raven_metrics(address)
        assert 'raven_requests_total{status="200"} 8.0' in text
        os.kill(int(first[0]), signal.SIGKILL)  # one that dies is started again
        wait_for(lambda: len(set(children.read_text().split()) - set(first)) == 1)
        assert client.predict(picture())["objects"]
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(client.predict, picture()) for _ in range(8)]
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            # Nobody waits in line for a server that ends, while what was accepted is answered.
            wait_for(lambda: refuses(address))
            assert process.poll() is None
            assert all(one.result()["objects"] for one in answers)
        assert process.wait(timeout=PATIENCE) == 0
        assert process.stderr is not None and "restarting it" in process.stderr.read()


def refuses(address: str) -> bool:
    """Whether nothing listens at an address."""
    parts = urlsplit(address)
    try:
        socket.create_connection((parts.hostname, parts.port), 1).close()
    except ConnectionRefusedError:
        return True
    return False


def raven_metrics(address: str) -> str:
    from urllib.request import urlopen

    parts = urlsplit(address)
    with urlopen(f"http://{parts.netloc}/metrics?{parts.query}", timeout=PATIENCE) as answer:
        return str(answer.read().decode())


def test_workers_end_with_the_process_that_started_them(raven: Raven, model: Path) -> None:
    with started(raven, model, "--processes", "2") as (process, address):
        client = Client(address, timeout=5)
        wait_for(client.healthy)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
        process.wait()
        wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


def test_a_model_for_transfer_learning_only_is_refused_unless_forced(raven: Raven, model: Path) -> None:
    import json

    (model.parent / "metadata_x.json").write_text(
        json.dumps({"models": {"": f"models/{model.name}"}, "transfer_only": True})
    )
    refused = raven("serve", model)
    assert (
        refused.returncode == 2 and "transfer learning only" in refused.stderr and "--force" in refused.stderr
    )
    assert raven("serve", model, "--processes", "2").returncode == 2
    with started(raven, model, "--force") as (_, address):
        assert Client(address).healthy()


def test_what_cannot_be_served_is_told_in_one_sentence(raven: Raven, model: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"mode": {"name": "sliding_window_det"}}')
    for arguments, said in (
        (["missing.tar"], "does not exist; name a model-state.tar"),
        ([model, "--config", tmp_path / "config.json"], "use sliding_window"),
        ([model, "--host", "no.such.host.invalid"], "--host no.such.host.invalid is not a name"),
        (
            [model, "--allow-url", "images.example.org"],
            "--allow-url: 'images.example.org' is not a plain address",
        ),
    ):
        refused = raven("serve", *arguments)
        assert refused.returncode == 2 and said in refused.stderr and refused.stderr.count("\n") == 1, refused


def test_the_config_is_what_requests_begin_with(raven: Raven, model: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"model": {"gain": 9}, "mode": {"name": "roi", "bounds": {"left": "50%"}}}')
    with started(raven, model, "--config", config) as (_, address):
        client = Client(address)
        assert client.model()["mode"]["name"] == "roi"
        assert client.predict(picture())["objects"] == []  # the red half is not looked at
        assert client.predict(picture((20, 0, 0)), mode="full_image")[
            "objects"
        ]  # the gain holds all the same


def test_without_the_extra_one_sentence_names_it(raven: Raven, model: Path, tmp_path: Path) -> None:
    hide = tmp_path / "hide"
    hide.mkdir()
    (hide / "sitecustomize.py").write_text(
        "import sys, importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name in ('fastapi', 'uvicorn') else find(name, *more)\n"
    )
    path = os.pathsep.join([str(hide), raven.env()["PYTHONPATH"]])
    refused = raven("serve", model, fork=False, PYTHONPATH=path)
    assert refused.returncode == 1
    # The command depends on what this process finds installed; tests/test_install_command.py looks at it.
    assert refused.stderr.startswith("Error: raven serve needs the extra `serve`; install it with: ")
    assert "pip install" in refused.stderr and len(refused.stderr.splitlines()) == 1


def test_the_server_needs_no_page_builder() -> None:
    code = "import sys, ravenml.serve.app, ravenml.serve.server; print('nicegui' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def run_alone(code: str) -> str:
    """What Python code prints in a process of its own, which SIGTERM may end without ending the tests'."""
    imports = "import os, signal, socket, sys\nfrom ravenml.serve.server import Workers\n"
    command = [sys.executable, "-c", imports + textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_worker_that_is_being_started_when_the_end_comes_is_ended_too() -> None:
    code = """
    def begins(number):
        os.kill(os.getpid(), signal.SIGTERM)  # which comes before the process is there
        return {}

    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with socket.socket() as opened:
        Workers(lambda number: command, opened, 1, begins, print).run()
    print("ended")
    """
    assert run_alone(code) == "ended\n"


@pytest.mark.slow
def test_who_does_not_read_an_answer_keeps_no_server_from_ending(raven: Raven, model: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (2000, 3000, 3), dtype=np.uint8)
    content = cv2.imencode(".bmp", noise)[1].tobytes()
    with started(raven, model, "--deadline", "1") as (process, address):
        parts = urlsplit(address)
        head = (
            f"POST /predict?answer=overlay&{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        with socket.create_connection((parts.hostname, parts.port)) as unread:
            unread.sendall(head.encode() + content)
            wait_for(lambda: unread.recv(1, socket.MSG_PEEK))
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=PATIENCE) == 0


def test_workers_that_have_answered_may_be_killed_again_and_again(raven: Raven, model: Path) -> None:
    with started(raven, model, "--processes", "2") as (process, address):
        client = Client(address)
        for _ in range(5):
            wait_for(lambda: [answers(child) for child in children_of(process)] == [True, True])
            first = children_of(process)[0]
            os.kill(first, signal.SIGKILL)
            wait_for(lambda first=first: first not in children_of(process))
        wait_for(lambda: [answers(child) for child in children_of(process)] == [True, True])
        assert client.predict(picture())["objects"]


def children_of(process: subprocess.Popen[str]) -> list[int]:
    return [*map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())]


def answers(child: int) -> bool:
    """Whether a worker has told the process that started it that it answers requests."""
    environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
    (file,) = (one.partition(b"=")[2] for one in environment if one.startswith(b"RAVENML_SERVE_READY="))
    return Path(file.decode()).exists()


def test_workers_that_cannot_be_started_again_leave_those_that_answer() -> None:
    """The first of two answers and stays; the second ends at once, but the server goes on."""
    code = """
    stays = "import os, time; open(os.environ['RAVENML_SERVE_READY'], 'w'); time.sleep(60)"
    commands = [[sys.executable, "-c", stays], [sys.executable, "-c", "import time; time.sleep(2)"]]
    told = []

    def tell(line):
        print(line)
        told.append(line)
        if len(told) == 4:  # one more than would end a server of which nothing answers
            os.kill(os.getpid(), signal.SIGTERM)

    with socket.socket() as opened:
        Workers(commands.__getitem__, opened, 2, lambda number: {}, tell).run()
    """
    assert run_alone(code) == "Worker 1 exited with code 0; restarting it.\n" * 4
