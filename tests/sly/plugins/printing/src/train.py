"""A training that knows nothing but the contract: the standard library, a folder, and lines of JSON.

What else it does is told by ``task_config.json``: ``say`` (bytes as text, printed as they are), ``huge`` (the
size of an event), ``sleep`` per epoch, ``fail`` (an exit code), ``ignore_sigterm``,
``probe`` (what it can see and write to, printed).
"""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

TASK = Path("/sly_task_data")


def say(stream=sys.stdout, **event):
    event.setdefault("message", event["event_type"].lower())
    event["event_type"] = "EventType." + event["event_type"]
    print(json.dumps(event), file=stream)


def refused(action):
    try:
        action()
    except OSError as error:
        return error.strerror
    return ""


def probe():
    (project,) = (TASK / "data").iterdir()
    status = Path("/proc/self/status").read_text().splitlines()
    return {
        "data": refused(lambda: (project / "meta.json").open("a")),
        "sources": refused(lambda: Path(__file__).open("a")),
        "etc": refused(lambda: Path("/etc/raven").write_text("x")),
        "tmp": refused(lambda: Path("/tmp/raven").write_text("x")),
        "home": refused(lambda: (Path.home() / "raven").write_text("x")),
        "results": refused(lambda: (TASK / "results" / "note.txt").write_text("x")),
        "network": refused(
            lambda: socket.create_connection(("127.0.0.1", int(os.environ.get("PORT", "9"))), 1)
        ),
        "interfaces": [name for _, name in socket.if_nameindex()],
        "capabilities": next(line.split()[1] for line in status if line.startswith("CapEff")),
        "processes": len([name for name in os.listdir("/proc") if name.isdigit()]),
        "environment": sorted(os.environ),
        "pid": os.getpid(),
    }


def main():
    config = json.loads((TASK / "task_config.json").read_text())
    (project,) = (TASK / "data").iterdir()
    classes = json.loads((project / "meta.json").read_text())["classes"]
    if config.get("ignore_sigterm"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("not an event: training on", project.name, "with", len(classes), "classes")
    if "say" in config:
        sys.stdout.flush()
        os.write(1, config["say"].encode())
    if "huge" in config:
        say(event_type="METRICS", type="val", epoch=1, metrics={"long": 1}, note="x" * config["huge"])
    if config.get("probe"):
        print("PROBE " + json.dumps(probe()))
    for epoch in range(config["epochs"]):
        say(event_type="PROGRESS", subtask="Epoch", current=epoch, total=config["epochs"])
        time.sleep(config.get("sleep", 0))
        sys.stderr.write("\r  0%|          |\r100%|##########|\r")
        loss = 1 / (epoch + 1)
        say(event_type="METRICS", type="train", epoch=epoch + 1, metrics={"loss": loss}, stream=sys.stderr)
        say(event_type="METRICS", type="val", epoch=epoch + 1, metrics={"accuracy": 1 - loss})
        folder = TASK / "results" / f"{epoch:08d}"
        (folder / "weights").mkdir(parents=True)
        (folder / "weights" / "model.bin").write_text(str(loss))
        titles = {one["title"]: index for index, one in enumerate(classes)}
        model = {"settings": config, "classes": classes, "class_title_to_idx": titles}
        (folder / "config.json").write_text(json.dumps(model))
        subdir = str(folder) if epoch % 2 else folder.name
        best = epoch < config.get("best_until", 99)
        say(event_type="CHECKPOINT", id=epoch, subdir=subdir, sizeb=9, best_now=best, optional=None)
    say(event_type="PROGRESS", subtask="Epoch", current=config["epochs"], total=config["epochs"])
    sys.exit(config.get("fail", 0))


main()
