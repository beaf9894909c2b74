"""`raven run -- python …`: what the program was told, shows and saves is known, without a line changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from as_user import Raven

from ravenml.capture import SITE
from ravenml.runs.events import read_events
from ravenml.runs.process.argument_settings import read_settings


def run(raven: Raven, source: str, *arguments: str, options: tuple[str, ...] = (), **env: str) -> Path:
    """The run's folder of a script below `raven run`."""
    (raven.cwd / "train.py").write_text(dedent(source))
    done = raven("run", *options, "--", sys.executable, "train.py", *arguments, **env)
    assert done.returncode == 0, done.stderr
    assert "raven:" not in done.stderr + done.stdout
    return raven.runs()[0]


def settings(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text()).get("parameters", {})


def test_what_argparse_parses_is_known_with_its_defaults(raven: Raven) -> None:
    source = """
        import argparse
        parser = argparse.ArgumentParser()
        parser.add_argument("--lr", type=float, default=0.1)
        parser.add_argument("--api-key", default="s3cret")
        commands = parser.add_subparsers()
        fit = commands.add_parser("fit")
        fit.add_argument("--epochs", type=int, default=3)
        parser.parse_args()
        parser.parse_args(["--lr", "9"])  # not the command line
    """
    folder = run(raven, source, "--lr", "0.2", "fit")
    assert settings(folder) == {"lr": 0.2, "api_key": "***", "epochs": 3}
    assert folder.name in raven.ok("runs", "list", "--where", "lr=0.2")


def test_what_click_parses_is_known(raven: Raven) -> None:
    source = """
        import click
        @click.group()
        @click.option("--seed", default=1)
        def main(seed): pass
        @main.command()
        @click.option("--lr", default=0.1)
        def fit(lr): pass
        main()
    """
    assert settings(run(raven, source, "fit", "--lr", "0.3")) == {"seed": 1, "lr": 0.3}


def test_what_typer_parses_is_known(raven: Raven) -> None:
    pytest.importorskip("typer")
    source = """
        import typer
        def main(lr: float = 0.1, name: str = "x"): pass
        typer.run(main)
    """
    assert settings(run(raven, source, "--lr", "0.3")) == {"lr": 0.3, "name": "x"}


def test_hydras_composed_configuration_is_known_with_the_overrides_apart(raven: Raven) -> None:
    pytest.importorskip("hydra")
    (raven.cwd / "conf").mkdir()
    (raven.cwd / "conf" / "config.yaml").write_text("optimizer: {lr: 0.1, name: adam}\nepochs: 3\n")
    source = """
        import hydra
        @hydra.main(config_path="conf", config_name="config", version_base=None)
        def main(config): pass
        main()
    """
    assert settings(run(raven, source, "optimizer.lr=0.5")) == {
        "optimizer": {"lr": 0.5, "name": "adam"},
        "epochs": 3,
        "overrides": ["optimizer.lr=0.5"],
    }


def test_what_fire_calls_is_known_with_its_defaults(raven: Raven) -> None:
    pytest.importorskip("fire")
    source = """
        import fire
        def train(data, lr=0.1, epochs=3): print("trained")
        fire.Fire(train)
    """
    assert settings(run(raven, source, "roads", "--lr=0.2")) == {"data": "roads", "lr": 0.2, "epochs": 3}


def test_a_class_that_fire_makes_gets_the_words_that_it_gets_without_raven(raven: Raven) -> None:
    pytest.importorskip("fire")
    source = """
        import fire
        class Model:
            def __init__(self, depth=1): self._depth = depth
            def train(self, epochs): print("trained", self._depth, epochs)
        fire.Fire(Model)
    """
    folder = run(raven, source, "train", "5")
    assert settings(folder) == {"depth": 1, "epochs": 5}
    assert "trained 1 5" in (folder / "console.log").read_text()


def test_more_words_that_fire_hands_over_are_known_by_their_own_names(raven: Raven) -> None:
    pytest.importorskip("fire")
    source = """
        import fire
        def train(epochs=3, *folders, **more): print("trained")
        fire.Fire(train)
    """
    assert settings(run(raven, source, "--lr=0.2")) == {"epochs": 3, "lr": 0.2}


def test_the_flags_of_an_absl_program_and_of_its_modules_are_known(raven: Raven) -> None:
    pytest.importorskip("absl")
    (raven.cwd / "net.py").write_text("from absl import flags\nflags.DEFINE_integer('width', 8, 'units')\n")
    source = """
        import enum
        from absl import app, flags
        import net
        class Kind(enum.Enum): small = 1; large = 2
        flags.DEFINE_float("lr", 0.1, "rate")
        flags.DEFINE_integer("epochs", 3, "epochs")
        flags.DEFINE_enum_class("kind", Kind.small, Kind, "kind")
        def main(argv): pass
        app.run(main)
    """
    known = {"lr": 0.2, "epochs": 3, "kind": "large", "width": 8}
    assert settings(run(raven, source, "--lr=0.2", "--kind=large")) == known


def test_what_jsonargparse_parses_is_known(raven: Raven) -> None:
    pytest.importorskip("jsonargparse")
    source = """
        import jsonargparse
        parser = jsonargparse.ArgumentParser()
        parser.add_argument("--optimizer.lr", type=float, default=0.1)
        parser.add_argument("--epochs", type=int, default=3)
        parser.parse_args()
    """
    assert settings(run(raven, source, "--optimizer.lr=0.2")) == {"optimizer": {"lr": 0.2}, "epochs": 3}


def test_a_program_that_parses_by_hand_has_the_settings_of_its_command_line(raven: Raven) -> None:
    folder = run(raven, "import sys", "--lr", "1e-3", "--amp", "data/roads")
    assert settings(folder) == {
        "lr": 0.001,
        "amp": "data/roads",
    }


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("./train --lr=0.1 --name two", {"lr": 0.1, "name": "two"}),
        ("python -u train.py --batch-size 4 -v", {"batch_size": 4, "v": True}),
        ("python3.11 -m pkg.train lr=0.1 +model=unet", {"lr": 0.1, "model": "unet"}),
        ("python -c code --x 1", {"x": 1}),
        ("bash run.sh roads 1_000", {"arguments": ["roads", "1_000"]}),
        ("train --shift -3 --tag a --tag b", {"shift": -3, "tag": ["a", "b"]}),
        ("train", {}),
    ],
)
def test_a_command_line_is_read_as_settings(line: str, found: dict[str, Any]) -> None:
    assert read_settings(line.split()) == found


def test_a_helper_that_the_program_starts_does_not_tell_its_own_settings(raven: Raven) -> None:
    source = """
        import argparse, subprocess, sys
        parser = argparse.ArgumentParser()
        parser.add_argument("--lr")
        parser.add_argument("--worker", action="store_true")
        if not parser.parse_args().worker:
            subprocess.run([sys.executable, "train.py", "--worker", "--lr", "9"], check=True)
    """
    assert settings(run(raven, source, "--lr", "1")) == {"lr": "1", "worker": False}


def test_a_launchers_own_flags_are_not_the_settings_and_only_rank_0_tells_them(raven: Raven) -> None:
    launcher = raven.cwd / "deepspeed" / "launch.py"
    launcher.parent.mkdir(parents=True)
    launcher.write_text(
        dedent("""
            import argparse, os, subprocess, sys
            parser = argparse.ArgumentParser()
            parser.add_argument("--nproc", type=int)
            given, rest = parser.parse_known_args()
            for rank in range(given.nproc):
                env = {**os.environ, "RANK": str(rank)}
                subprocess.run([sys.executable, *rest, f"--rank={rank}"], env=env)
        """)
    )
    source = """
        import argparse
        parser = argparse.ArgumentParser()
        parser.add_argument("--rank", type=int)
        parser.parse_args()
    """
    (raven.cwd / "train.py").write_text(dedent(source))
    command = [sys.executable, "-m", "deepspeed.launch", "--nproc", "2", "train.py"]
    assert raven("run", "--", *command).returncode == 0
    assert settings(raven.runs()[0]) == {"rank": 0}


def test_figures_that_are_shown_or_saved_become_pictures(raven: Raven) -> None:
    pytest.importorskip("matplotlib")
    source = """
        import matplotlib; matplotlib.use("agg")
        import matplotlib.pyplot as plt
        plt.plot([1, 2])
        plt.show()
        plt.savefig("curve.pdf")
        plt.savefig("curve.pdf")
    """
    folder = run(raven, source)
    events = [event.fields for event in read_events(folder / "events.jsonl", "IMAGE")]
    assert [(event["name"], event["step"]) for event in events] == [
        ("figures/figure 1_000000", 0),
        ("figures/curve_000000", 0),
        ("figures/curve_000001", 1),
    ]
    assert all((folder / event["file"]).read_bytes().startswith(b"\x89PNG") for event in events)


def test_models_are_kept_though_the_script_knows_nothing_of_ravenml(raven: Raven) -> None:
    pytest.importorskip("joblib")
    folder = run(raven, "import joblib\njoblib.dump({'a': 1}, 'forest.joblib')")
    assert (folder / "artifacts" / "models" / "forest.joblib").is_file()
    (event,) = [event.fields for event in read_events(folder / "events.jsonl", "ARTIFACT")]
    assert event["file"] == "artifacts/models/forest.joblib"


def test_a_task_below_raven_run_keeps_each_model_once(raven: Raven, tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    source = f"""
        from ravenml import Task
        Task.init("p", "n", output_uri={str(tmp_path / "out")!r})
        import joblib
        joblib.dump([1], "forest.joblib")
    """
    folder = run(raven, source)
    assert (folder / "artifacts" / "models" / "forest.joblib").is_file()
    assert len(list((tmp_path / "out").rglob("forest.joblib"))) == 1
    events = [event.fields for event in read_events(folder / "events.jsonl", "ARTIFACT")]
    assert [event.get("file") for event in events if event.get("file")] == ["artifacts/models/forest.joblib"]


def test_a_hook_that_fails_is_a_line_and_the_program_goes_on(raven: Raven) -> None:
    source = """
        import argparse
        class Odd(argparse.Namespace):
            __slots__ = ()
            def __getattribute__(self, name):
                if name == "__dict__": raise ValueError("odd")
                return super().__getattribute__(name)
        argparse.ArgumentParser().parse_args(namespace=Odd())
        print("went on")
    """
    (raven.cwd / "train.py").write_text(dedent(source))
    done = raven("run", "--", sys.executable, "train.py")
    assert done.returncode == 0 and "went on" in done.stdout
    assert "raven: argparse_settings: ValueError('odd')" in done.stderr


def test_no_capture_leaves_the_program_alone(raven: Raven) -> None:
    source = "import sys; print(*[n for n in sys.modules if 'capture' in n or n == 'sitecustomize'])"
    folder = run(raven, source, options=("--no-capture",))
    assert "_ravenml_capture" not in (folder / "console.log").read_text()


def test_the_environments_own_sitecustomize_still_runs(raven: Raven, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.of_the_site = 'yes'")
    path = os.pathsep.join([str(tmp_path), raven.env()["PYTHONPATH"]])
    folder = run(raven, "print('site:', of_the_site)", PYTHONPATH=path)
    assert "site: yes" in (folder / "console.log").read_text()


def test_the_hooks_need_nothing_but_the_standard_library(tmp_path: Path) -> None:
    (tmp_path / "events").touch()
    code = """
        import sys
        assert "_ravenml_capture.imports" in sys.modules; import argparse, inspect
        third = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
        print(third - {"_ravenml_capture", "sitecustomize", "__main__", "_sitebuiltins"})
    """
    names = {"PYTHONPATH": SITE, "RAVENML_CAPTURE": "on", "RAVENML_EVENTS": str(tmp_path / "events")}
    python = [os.path.realpath(sys.executable), "-S"]  # no packages at all
    done = subprocess.run(
        [*python, "-c", "import sitecustomize" + dedent(code)], env=names, capture_output=True, text=True
    )
    assert done.stdout == "set()\n", done.stderr
