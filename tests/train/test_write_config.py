"""``--write-config``: all settings of a training, commented, which ``--config`` reads back unchanged."""

from __future__ import annotations

import json
import os
import pty
import re
import tempfile
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from as_user import Raven, start_raven
from hypothesis import example, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from ravenml.train.config import KFold, Metadata, SplitChoice, TrainConfig, read_train_config
from ravenml.train.config_template import render_config
from ravenml.train.settings import TrainSettings


def effective(run: Path) -> dict[str, Any]:
    return json.loads((run / "checkpoints" / "train_args.json").read_text())


def test_training_with_the_written_file_is_training_without_it(
    raven: Raven, learner: Path, project: Path
) -> None:
    said = raven("train", "learner", "train", "--write-config", "my.yml")
    assert said.returncode == 0 and said.stderr == "Config: my.yml\n" and said.stdout == ""
    assert not raven.runs()
    raven.ok("train", "--dataset", project, "learner", "train")
    raven.ok("train", "--dataset", project, "learner", "train", "--config", "my.yml")
    first, again = map(effective, raven.runs())
    assert first == again


def test_every_setting_is_there_with_its_help_and_its_default(raven: Raven, learner: Path) -> None:
    text = raven.ok("train", "learner", "train", "--write-config", "-")
    assert "  # How many epochs.\n  epochs: 2\n" in text
    assert "  # One of sgd, adam.\n  optimizer: sgd\n" in text
    values = yaml.safe_load(text)
    assert set(values) == {*TrainConfig.model_fields, "plugin_name"}
    assert values["plugin"]["input_size"] == {"width": 64, "height": 48} and values["dataset"] is None
    assert "kfold: null\n#  # How many folds.\n#  folds: 5\n" in text


def test_the_settings_stand_under_the_headings_of_the_help(raven: Raven, learner: Path) -> None:
    text = raven.ok("train", "learner", "train", "--write-config", "-")
    headings = re.findall(r"^  # ---- (.*) ----$", text, re.MULTILINE)
    shown = re.findall(r"^(\S.*):$", raven.ok("train", "learner", "train", "--help"), re.MULTILINE)
    assert headings == [one for one in shown if one in headings] and headings[0] == "Common"


def test_what_is_given_is_written_and_a_secret_is_not(raven: Raven, learner: Path) -> None:
    words = ("--epochs", "7", "--set", "kfold.folds=3", "--api-token", "abc123")
    text = raven.ok("train", "learner", "train", *words, "--write-config", "-")
    values = yaml.safe_load(text)
    assert values["plugin"]["epochs"] == 7 and values["kfold"]["folds"] == 3 and "abc123" not in text


def test_the_configured_dataset_is_not_pinned(raven: Raven, learner: Path, project: Path) -> None:
    raven.ok("config", "update", "--dataset", str(project))
    assert yaml.safe_load(raven.ok("train", "learner", "train", "--write-config", "-"))["dataset"] is None


def test_a_file_that_exists_is_left_alone(raven: Raven, learner: Path) -> None:
    (raven.cwd / "my.yml").write_text("mine")
    refused = raven("train", "learner", "train", "--write-config", "my.yml")
    assert refused.returncode == 2 and "my.yml exists; name another file" in refused.stderr
    assert (raven.cwd / "my.yml").read_text() == "mine"


def test_a_wrong_setting_is_refused_and_nothing_is_written(raven: Raven, learner: Path) -> None:
    refused = raven("train", "learner", "train", "--epochs", "0", "--write-config", "my.yml")
    assert refused.returncode == 2 and "--epochs" in refused.stderr
    assert not (raven.cwd / "my.yml").exists()


class Inner(BaseModel):
    width: int = Field(64, description="Width: a number # of pixels.")
    mixed: Literal["a", 16] = 16


class Settings(TrainSettings):
    text: str | None = Field(None, description="A text; " * 30)
    number: float = 0.1
    switch: bool = False
    several: list[str] = []
    by_name: dict[str, float] = {}
    inner: Inner = Inner()
    optional: Inner | None = None


inner = st.builds(Inner, width=st.integers(-(2**63), 2**63 - 1), mixed=st.sampled_from(["a", 16]))
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]))
settings = st.builds(
    Settings,
    text=st.none() | texts,
    number=st.floats(allow_nan=False),
    switch=st.booleans(),
    several=st.lists(texts),
    by_name=st.dictionaries(texts, st.floats(allow_nan=False)),
    inner=inner,
    optional=st.none() | inner,
)
configs = st.builds(
    TrainConfig,
    dataset=st.none() | texts,
    metadata=st.builds(Metadata, created_by=st.none() | texts, comments=st.none() | texts, weather=texts),
    kfold=st.none() | st.builds(KFold, folds=st.integers(2, 9), tag=st.none() | texts),
    split=st.none() | st.builds(SplitChoice, percent=st.floats(1, 99)),
    jobs=st.integers(1, 9),
)


@limits(max_examples=50, deadline=None)
@example(TrainConfig(), Settings(by_name={"": float("inf")}, number=float("-inf")))
@given(configs, st.none() | settings)
def test_reading_what_was_written_gives_the_same_config(
    config: TrainConfig, chosen: TrainSettings | None
) -> None:
    if chosen is not None:
        config.plugin = chosen.model_dump(mode="json")
    model = None if chosen is None else type(chosen)
    text = render_config(config, "learner", model, lambda leaf: leaf.path[0], sorted)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "config.yml")
        file.write_text(text, encoding="utf-8")
        values = read_train_config(file, "learner")
    assert TrainConfig.model_validate(values) == config
    if model is not None:
        assert model.model_validate(values["plugin"]) == chosen


@pytest.mark.parametrize("answer", ["y", "n"])
def test_on_a_terminal_it_asks_before_it_overwrites(raven: Raven, learner: Path, answer: str) -> None:
    (raven.cwd / "my.yml").write_text("mine")
    main, side = pty.openpty()
    words = ("train", "learner", "train", "--write-config", "my.yml")
    process = start_raven(*words, env=raven.env(), cwd=raven.cwd, stdin=side, stdout=side, stderr=side)
    os.close(side)
    os.write(main, f"{answer}\n".encode())
    assert process.wait(120) == (0 if answer == "y" else 2)
    os.close(main)
    assert ((raven.cwd / "my.yml").read_text() == "mine") == (answer == "n")
