"""``supervisely_lib``: its modules and names, as plugins and Supervisely's documents use them."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import ravenml.sly as sly
from ravenml.sly.module_alias import MODULES, Support, find_support, name_table
from ravenml.sly.unavailable import NotAvailable
from ravenml.sly.used_names import find_names, find_used_names

ALIAS = Path(sly.__file__).parent / "alias"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def alias(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The package, as a plugin imports it."""
    monkeypatch.syspath_prepend(ALIAS)
    return importlib.import_module("supervisely_lib")


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run a program that finds the package, in an interpreter of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ALIAS)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


LITERAL = """
import supervisely_lib
supervisely_lib.task.progress.report_checkpoint_saved(
    checkpoint_idx=0, subdir="000000", sizeb=1, best_now=True, optional_data=None
)
supervisely_lib.report_metrics_validation(0.7, {'accuracy': 0.35})
for used in (
    supervisely_lib.project.project.Project,
    supervisely_lib.io.json.load_json_file,
    supervisely_lib.io.fs.list_files,
    supervisely_lib.annotation.annotation.Annotation,
    supervisely_lib.geometry.rectangle.Rectangle,
    supervisely_lib.nn.hosted.trainer.SuperviselyModelTrainer,
    supervisely_lib.nn.hosted.inference_single_image.SingleImageInferenceBase,
    supervisely_lib.nn.hosted.inference_batch.BatchInferenceApplier,
    supervisely_lib.nn.hosted.inference_modes.InfModeFullImage,
    supervisely_lib.function_wrapper.main_wrapper,
):
    assert callable(used)
import supervisely_lib as sly
assert sly.io is supervisely_lib.io and sly.fs is sly.io.fs and sly.image is sly.imaging.image
"""


def test_what_the_documents_call_works_after_the_import_of_the_package_alone() -> None:
    done = run(LITERAL)
    assert done.returncode == 0, done.stderr
    checkpoint, metrics = done.stdout.splitlines()
    assert '"event_type": "EventType.CHECKPOINT"' in checkpoint
    assert '"type": "val", "epoch": 0.7, "metrics": {"accuracy": 0.35}' in metrics


def test_the_import_of_the_package_imports_nothing_else() -> None:
    done = run("import sys, supervisely_lib; print(*sys.modules)")
    assert not {"numpy", "cv2", "ravenml.sly.inference", "ravenml.sly.reporting"} & set(done.stdout.split())


def test_every_module_can_be_imported_and_shows_our_names(alias: ModuleType) -> None:
    for name in MODULES:
        importlib.import_module(f"supervisely_lib.{name}")
    assert alias.Annotation is sly.Annotation and alias.logger is sly.logger
    trainer = importlib.import_module("supervisely_lib.nn.hosted.trainer")
    assert trainer.SuperviselyModelTrainer is sly.SuperviselyModelTrainer
    assert (trainer.BATCH_SIZE, trainer.VAL, trainer.INPUT_SIZE) == ("batch_size", "val", "input_size")
    modes = importlib.import_module("supervisely_lib.nn.hosted.inference_modes")
    assert (modes.CONFIDENCE, modes.CONFIDENCE_TAG_NAME) == ("confidence", "confidence_tag_name")
    for name in ("nothing", "io.nothing", "nn.nothing.deeper"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(f"supervisely_lib.{name}")
    with pytest.raises(AttributeError, match="nobody"):
        _ = alias.nobody
    with pytest.raises(ImportError, match="nobody"):
        exec("from supervisely_lib.io.fs import nobody")  # noqa: S102


def test_a_star_takes_the_public_names(alias: ModuleType) -> None:
    taken: dict[str, object] = {}
    exec("from supervisely_lib.io.fs import *", taken)  # noqa: S102
    assert "list_files" in taken and "_filtered" not in taken
    exec("from supervisely_lib import *", taken)  # noqa: S102
    assert taken["Annotation"] is sly.Annotation


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (lambda lib: lib.Api.from_env(), "Api cannot be used: there is no Supervisely instance to talk to"),
        (lambda lib: lib.Api("address", "token"), "Api cannot be used: there is no Supervisely instance"),
        (lambda lib: lib.worker_api.agent_api.AgentAPI("token"), "AgentAPI cannot be used: there is no"),
        (lambda lib: lib.download_project(None, 1, "x"), "download_project cannot be used: there is no"),
        (lambda lib: lib.video.validate_ext("a.mp4"), "validate_ext cannot be used: videos are not"),
        (lambda lib: ".mp4" in lib.video.video.ALLOWED_VIDEO_EXTENSIONS, "import their frames as images"),
        (
            lambda lib: lib.PointcloudProject.read_single("x"),
            "PointcloudProject cannot be used: point clouds",
        ),
        (lambda lib: type("Mine", (lib.AgentAPI,), {})(), "AgentAPI cannot be used"),
    ],
)
def test_what_cannot_work_can_be_imported_and_says_why_when_it_is_used(
    alias: ModuleType, use: Callable[[ModuleType], object], said: str
) -> None:
    from supervisely_lib.api.api import Api  # type: ignore[import-not-found]
    from supervisely_lib.worker_api.rpc_servicer import AgentRPCServicer  # type: ignore[import-not-found]

    class Derived(AgentRPCServicer):  # type: ignore[misc]
        """A plugin may define what it never uses."""

    assert not isinstance(Derived, Api)
    with pytest.raises(NotAvailable) as caught:
        use(alias)
    assert said in str(caught.value)


SOURCES = {
    "src/train.py": """
import supervisely_lib as sly
import supervisely_lib.nn.dataset
from supervisely_lib.io.json import load_json_file as load
from supervisely_lib.nn import raw_to_labels

def main():
    config = load(sly.TaskPaths.TASK_CONFIG_PATH)
    raw_to_labels.segmentation_array_to_sly_bitmaps({}, None)
    supervisely_lib.nn.dataset.samples_by_tags([], None)
    self.sly.fs.nothing, "sly.fs.in_a_text"
""",
    "src/template.py": "import supervisely_lib as sly\nids = %%IDS:None%%\nsly.fs.mkdir('x')\n",
    "supervisely_lib/__init__.py": "import supervisely_lib.of_its_own\n",
    "src/broken.py": "import supervisely_lib.io as\n",
}


def test_the_names_that_sources_use_are_found_without_running_them(tmp_path: Path) -> None:
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert find_used_names(tmp_path) == {
        "TaskPaths.TASK_CONFIG_PATH": "src/train.py:8",
        "fs.mkdir": "src/template.py:3",
        "io.json.load_json_file": "src/train.py:4",
        "nn.dataset": "src/train.py:3",
        "nn.dataset.samples_by_tags": "src/train.py:10",
        "nn.raw_to_labels": "src/train.py:5",
        "nn.raw_to_labels.segmentation_array_to_sly_bitmaps": "src/train.py:9",
    }
    assert not list(find_names("import supervisely\nsupervisely.fs.mkdir\n"))


@pytest.mark.parametrize(
    ("name", "support"),
    [
        ("fs.list_files", Support.AVAILABLE),
        ("io.fs.list_files", Support.AVAILABLE),
        ("nn.config", Support.AVAILABLE),
        ("TaskPaths.DATA_DIR", Support.AVAILABLE),
        ("logger.info", Support.AVAILABLE),
        ("Api", Support.REFUSED),
        ("Api.from_env", Support.REFUSED),
        ("fs.nothing", Support.MISSING),
        ("Annotation.from_nothing", Support.MISSING),
        ("nothing.fs", Support.MISSING),
        ("", Support.AVAILABLE),
    ],
)
def test_it_is_known_whether_a_name_can_be_used(name: str, support: Support) -> None:
    assert find_support(name) is support


def test_the_documentation_lists_the_names_that_are_there() -> None:
    text = (ROOT / "docs" / "supervisely.md").read_text()
    assert name_table() in text, "put what ravenml.sly.module_alias.name_table() returns into the page"
