"""What libraries measure while a program trains is known to `raven run`, without a line changed.

Each test runs a program with the real library, and looks at the events that its hook writes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from as_user import Raven

from ravenml.capture import SITE
from ravenml.runs.events import read_events

Captured = Callable[..., list[dict[str, Any]]]
DATA = """
import numpy as np
x = np.random.RandomState(0).rand(60, 4)
y = (x.sum(axis=1) > 2).astype(int)
"""


@pytest.fixture
def captured(tmp_path: Path) -> Captured:
    """Runs a program with the hooks; gives the events that they have written."""

    def run(source: str, **env: str) -> list[dict[str, Any]]:
        inbox = tmp_path / "inbox"
        inbox.write_bytes(b"")
        (tmp_path / "train.py").write_text(DATA + dedent(source))
        told = {"PYTHONPATH": SITE, "RAVENML_CAPTURE": "on", "RAVENML_EVENTS": str(inbox)}
        told |= {"RAVENML_RUN": str(tmp_path / "run"), "OMP_NUM_THREADS": "1", **env}
        done = subprocess.run(
            [sys.executable, "train.py"],
            cwd=tmp_path,
            env={**os.environ, **told},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "raven:" not in done.stderr
        return [json.loads(line) for line in inbox.read_text().splitlines()]

    return run


def metrics(events: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """Name and step of each number, in order."""
    found = [event for event in events if event["event_type"] == "EventType.METRICS"]
    return [(f"{one['type']}/{name}", one.get("step")) for one in found for name in one["metrics"]]


def parameters(events: list[dict[str, Any]]) -> dict[str, Any]:
    told = [event["fields"] for event in events if event["event_type"] == "EventType.DESCRIBED"]
    return {name: value for one in told for name, value in one["parameters"].items()}


@pytest.mark.slow
def test_an_estimators_parameters_and_scores_are_known(captured: Captured) -> None:
    pytest.importorskip("sklearn")
    events = captured("""
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import accuracy_score
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        model = LogisticRegression(C=0.5).fit(x, y)
        model.score(x, y)
        model.score(x[:30], y[:30])
        accuracy_score(y, model.predict(x))
        make_pipeline(StandardScaler(), LogisticRegression(C=np.float64(2))).fit(x, y)
        LogisticRegression(C=8.0).fit(x, y).score(x[:9], y[:9])
    """)
    assert metrics(events) == [
        ("train/score/LogisticRegression", 0),
        ("test/score/LogisticRegression", 0),
        ("score/accuracy_score", 0),
        ("test/score/LogisticRegression 2", 0),
    ]
    told = parameters(events)
    assert list(told) == ["LogisticRegression", "Pipeline", "LogisticRegression 2"]
    assert (told["LogisticRegression"]["C"], told["LogisticRegression 2"]["C"]) == (0.5, 8.0)
    assert told["Pipeline"]["logisticregression__C"] == 2


@pytest.mark.slow
def test_a_search_is_one_training_and_its_workers_say_nothing(captured: Captured) -> None:
    pytest.importorskip("sklearn")
    events = captured("""
        from sklearn.model_selection import GridSearchCV, cross_val_score
        from sklearn.tree import DecisionTreeClassifier
        tree = DecisionTreeClassifier(random_state=0)
        GridSearchCV(tree, {"max_depth": [1, 2]}, cv=2, n_jobs=2, scoring="accuracy").fit(x, y)
        cross_val_score(tree, x, y, cv=3)
    """)
    assert metrics(events) == [("cv/best_score/GridSearchCV", 0), ("cv/score/DecisionTreeClassifier", 0)]
    told = parameters(events)
    assert list(told) == ["GridSearchCV", "DecisionTreeClassifier"]
    assert told["GridSearchCV"]["best_params"]["max_depth"] in (1, 2)
    assert told["GridSearchCV"]["error_score"] == "nan"  # as JSON has no such number


def test_a_report_of_all_classes_and_searches_that_choose_in_their_own_way_are_known(
    captured: Captured,
) -> None:
    pytest.importorskip("sklearn")
    events = captured("""
        from sklearn.metrics import classification_report
        from sklearn.model_selection import GridSearchCV
        from sklearn.tree import DecisionTreeClassifier
        tree = DecisionTreeClassifier(random_state=0)
        print(classification_report(y, tree.fit(x, y).predict(x), zero_division=0))
        depths = {"max_depth": [1, 2]}
        GridSearchCV(tree, depths, cv=2, refit=lambda results: 1).fit(x, y)
        GridSearchCV(tree, depths, cv=3, scoring=["accuracy", "f1"], refit=False).fit(x, y)
    """)
    means = [
        f"score/{mean} avg {one}"
        for mean in ("macro", "weighted")
        for one in ("precision", "recall", "f1-score")
    ]
    searches = ["cv/best_score/GridSearchCV", "cv/best_accuracy/GridSearchCV 2", "cv/best_f1/GridSearchCV 2"]
    assert metrics(events) == [(name, 0) for name in ("score/accuracy", *means, *searches)]


@pytest.mark.slow
def test_what_keras_logs_after_each_epoch_is_known(captured: Captured) -> None:
    pytest.importorskip("keras")
    events = captured(
        """
        import keras
        def model():
            made = keras.Sequential([keras.layers.Dense(1, activation="sigmoid")])
            made.compile("sgd", "binary_crossentropy")
            return made
        first = model()
        first.fit(x, y, epochs=2, validation_split=0.5, batch_size=10, verbose=0)
        first.fit(x, y, epochs=1, verbose=0)
        first.evaluate(x, y, verbose=0)
        model().fit(x, y, epochs=1, verbose=0)
        """,
        KERAS_BACKEND="torch",
    )
    assert metrics(events) == [
        *(("train/loss", 3), ("val/loss", 3), ("train/loss", 6), ("val/loss", 6)),
        *(("train/loss", 6), ("test/loss", None), ("train/loss 2", 2)),
    ]
    epochs = [event.get("epoch") for event in events if event["event_type"] == "EventType.METRICS"]
    assert epochs == [1, 1, 2, 2, 3, None, 1]  # the second fit goes on with the same model


@pytest.mark.slow
def test_each_round_of_xgboost_is_known(captured: Captured) -> None:
    pytest.importorskip("xgboost")
    events = captured("""
        import xgboost
        data = xgboost.DMatrix(x, y)
        settings = {"objective": "binary:logistic", "eta": 0.3}
        xgboost.train(settings, data, 2, evals=[(data, "val")], verbose_eval=False)
    """)
    assert metrics(events) == [("val/logloss", 1), ("val/logloss", 2)]
    assert parameters(events)["xgboost"] == {
        **{"objective": "binary:logistic", "eta": 0.3},
        "num_boost_round": 2,
    }


@pytest.mark.slow
def test_each_round_of_lightgbm_is_known(captured: Captured) -> None:
    pytest.importorskip("lightgbm")
    events = captured("""
        import lightgbm
        lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(x, y, eval_set=[(x, y)])
        data = lightgbm.Dataset(x, y)
        lightgbm.train({"objective": "binary", "verbose": -1}, data, 1, valid_sets=data, valid_names="val")
    """)
    assert metrics(events) == [
        *(("training/binary_logloss", 1), ("training/binary_logloss", 2), ("val/binary_logloss 2", 1)),
    ]
    assert parameters(events)["LGBMClassifier"]["n_estimators"] == 2
    assert parameters(events)["lightgbm"]["num_boost_round"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("package", ["pytorch_lightning", "lightning.pytorch"])
def test_what_a_module_logs_is_known_whatever_its_trainers_loggers(captured: Captured, package: str) -> None:
    pytest.importorskip(package)
    events = captured(f"""
        import torch, {package} as lightning
        class Module(lightning.LightningModule):
            def __init__(self):
                super().__init__()
                self.layer = torch.nn.Linear(4, 1)
            def training_step(self, batch, index):
                loss = self.layer(batch).mean()
                self.log("train_loss", loss)
                return loss
            def validation_step(self, batch, index): self.log("val/acc", 0.5)
            def configure_optimizers(self): return torch.optim.SGD(self.parameters(), 0.1)
        images = torch.utils.data.DataLoader(torch.rand(8, 4), batch_size=4)
        lightning.Trainer(
            max_epochs=2, logger=False, enable_progress_bar=False, enable_model_summary=False,
            enable_checkpointing=False, log_every_n_steps=2, accelerator="cpu",
        ).fit(Module(), images, images)
    """)
    assert metrics(events) == [("train/loss", 1), ("val/acc", 1), ("train/loss", 3), ("val/acc", 3)]


@pytest.mark.slow
def test_what_a_trainer_of_transformers_logs_is_known(captured: Captured, tmp_path: Path) -> None:
    pytest.importorskip("transformers.trainer")
    events = captured("""
        import torch
        from transformers import Trainer, TrainingArguments
        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = torch.nn.Linear(4, 1)
            def forward(self, inputs, labels=None):
                return {"loss": ((self.layer(inputs)[:, 0] - labels) ** 2).mean()}
        rows = [{"inputs": torch.rand(4), "labels": torch.rand(())} for _ in range(8)]
        given = TrainingArguments(
            "out", num_train_epochs=1, per_device_train_batch_size=4, logging_steps=1, report_to=[],
            use_cpu=True, disable_tqdm=True, save_strategy="no",
        )
        trainer = Trainer(Model(), given, train_dataset=rows, eval_dataset=rows)
        trainer.train()
        trainer.evaluate()
    """)
    found = metrics(events)
    assert [one for one in found if one[0] == "train/loss"] == [("train/loss", 1), ("train/loss", 2)]
    assert ("train/learning_rate", 1) in found and ("eval/loss", 2) in found
    assert len(found) == len({*found})  # nothing twice


def test_only_rank_0_reports_and_a_fault_in_a_hook_is_a_line(tmp_path: Path) -> None:
    """With a library of the test's own, whose trainer is not as the hook expects it."""
    (tmp_path / "inbox").touch()
    package = tmp_path / "transformers"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "trainer.py").write_text(
        "class Trainer:\n    def log(self, logs):\n        print('logged', logs)\n"
    )
    names = {"PYTHONPATH": f"{SITE}{os.pathsep}{tmp_path}", "RAVENML_EVENTS": str(tmp_path / "inbox")}
    code = "from transformers.trainer import Trainer; Trainer().log({'loss': 1.0})"
    done = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**names, "RAVENML_CAPTURE": "on", "RANK": rank},
            capture_output=True,
            text=True,
        )
        for rank in ("0", "1")
    ]
    assert [one.stdout for one in done] == ["logged {'loss': 1.0}\n"] * 2
    assert "raven: transformers_metrics: AttributeError" in done[0].stderr and not done[1].stderr


def test_a_file_of_tensorboards_that_is_written_over_counts_for_the_run_that_did(raven: Raven) -> None:
    (raven.cwd / "write.py").write_text(
        dedent("""
            import struct, sys
            def record(content): return struct.pack("<Q", len(content)) + bytes(4) + content + bytes(4)
            with open("events.out.tfevents", "wb") as file:
                file.write(record(b"\\x09" + struct.pack("<d", float(sys.argv[1]))))
                value = b"\\x0a\\x04loss\\x15" + struct.pack("<f", float(sys.argv[1]))
                summary = b"\\x0a" + bytes([len(value)]) + value
                file.write(record(b"\\x10\\x01\\x2a" + bytes([len(summary)]) + summary))
        """)
    )
    for number in ("1", "2"):
        assert raven("run", "--", sys.executable, "write.py", number).returncode == 0
    found = [
        [event.fields["metrics"] for event in read_events(folder / "events.jsonl", "METRICS")]
        for folder in sorted(raven.runs())
    ]
    assert sorted(map(str, found)) == ["[{'loss': 1.0}]", "[{'loss': 2.0}]"]
