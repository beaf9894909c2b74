"""Plugins as they were written for ravenML 1, one of each kind, with a framework that is a file of ours."""

from __future__ import annotations

import json
from pathlib import Path

# Stands for TensorFlow: it is imported late, and saves a model.
FRAMEWORK = """
from pathlib import Path

def fit(folder, name="model.h5"):
    path = Path(folder) / name
    path.write_bytes(b"weights")
    return path
"""

DYNAMIC_IMPORT = """
def _dynamic_import(module, short=None, asfunction=False):
    found = importlib.import_module(module)
    globals()[short or module] = getattr(found, short) if asfunction else found
"""

# Asks for everything, keeps its own cache, silences its framework, has the oldest TrainOutput.
BOXES = (
    """
import importlib, io, os, shutil, sys
import click
from ravenml.options import verbose_opt
from ravenml.train.interfaces import TrainInput, TrainOutput
from ravenml.train.options import kfold_opt, pass_train
from ravenml.utils.local_cache import LocalCache, global_cache
from ravenml.utils.plugins import fill_basic_metadata
from ravenml.utils.question import cli_spinner, user_confirms, user_input, user_selects

cache = LocalCache(global_cache.path / "boxes")
comet_opt = click.option("-c", "--comet", is_flag=True, help="Record with comet.")

@click.group(help="Bounding boxes.")
@click.pass_context
def my_plugin(ctx): pass

@my_plugin.command(help="Train a model.")
@verbose_opt
@comet_opt
@pass_train
@click.pass_context
def train(ctx, train: TrainInput, verbose, comet):
    cli_spinner("Importing the framework...", _import)
    metadata = {}
    fill_basic_metadata(metadata, train.dataset)
    base = cache.path / "temp" if train.artifact_path is None else train.artifact_path
    metadata["architecture"] = user_selects("Choose model", {"small": 1, "large": 2}.keys())
    if os.path.exists(base):
        if not user_confirms("Artifact storage location contains old data. Overwrite?"):
            ctx.exit("Training cancelled.")
        shutil.rmtree(base)
    os.makedirs(base)
    cache.ensure_subpath_exists("archs")
    assert cache.subpath_exists("archs")
    if user_confirms("Edit default configuration?"):
        metadata["steps"] = user_input("train_steps:", default="100")
    model = framework.fit(base, "frozen.pb")
    print("verbose", verbose, "comet", comet)
    return TrainOutput(metadata, base, model, [train.dataset.path / "label_map.pbtxt"], train.local_mode())

def _import():
    trap = io.StringIO()
    sys.stdout = sys.stderr = trap
    _dynamic_import("former_framework", "framework")
    _dynamic_import("ravenml.utils.config", "get_config", asfunction=True)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
"""
    + DYNAMIC_IMPORT
)

# Settings from the config file, a cache object, a dataset's class.
INSTANCE = """
import click
from pathlib import Path
from ravenml.data.interfaces import Dataset
from ravenml.train.interfaces import TrainInput, TrainOutput
from ravenml.train.options import pass_train
from ravenml.utils.local_cache import RMLCache
from ravenml.utils.plugins import raise_parameter_error
from ravenml.utils.question import Spinner

@click.group(help="Instance segmentation.")
@click.pass_context
def my_plugin(ctx): pass

def weights_of(name: str, cache: RMLCache) -> Path:
    cache.ensure_subpath_exists("archs")
    file = cache.path / "archs" / name
    if not cache.subpath_exists(file):
        file.write_text("weights")
    return file

@my_plugin.command(help="Train a model.")
@pass_train
@click.pass_context
def train(ctx, train: TrainInput):
    import former_framework
    name = train.plugin_config.get("model")
    if name not in ("mask_rcnn",):
        raise_parameter_error(name, "model name, model is not supported by this plugin.")
    train.plugin_metadata["architecture"] = name
    dataset: Dataset = train.dataset
    progress = Spinner("Training...", "magenta")
    progress.start()
    model = former_framework.fit(train.artifact_path)
    progress.succeed("Training...Complete.")
    return TrainOutput(model, [weights_of(name, train.plugin_cache)])
"""

# A list of settings, arguments for its framework, a `-c/--config` of its own; its groups are nested.
SEMANTIC = """
import click, json
from pathlib import Path
from ravenml.train.interfaces import TrainInput, TrainOutput
from ravenml.train.options import pass_train

@click.group(help="Semantic segmentation.")
def my_plugin(): pass

@my_plugin.group()
@click.pass_context
def models(ctx): pass

@models.command(context_settings=dict(ignore_unknown_options=True))
@pass_train
@click.option("--config", "-c", required=True, type=click.Path(exists=True), help="The framework's settings.")
@click.argument("extra", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def train(ctx, train: TrainInput, config, extra):
    import former_framework
    own = json.loads(Path(config).read_text())
    listed = [list(one) for one in train.plugin_config]
    print("settings", listed, own, extra)
    return TrainOutput(former_framework.fit(train.artifact_path, "checkpoint"), [])
"""

# `--comet NAME`, commands beside the training, the import as one of the documents has it.
POSE = """
import click, json, os
from raven.train.interfaces import TrainInput, TrainOutput
from ravenml.train.options import pass_train
from ravenml.utils.dataset import get_dataset
from ravenml.utils.plugins import raise_parameter_error

@click.group(help="Pose regression.")
def my_plugin(): pass

@my_plugin.command(help="Train a model.")
@pass_train
@click.option("--comet", type=str, default=None, help="Record as this experiment.")
@click.pass_context
def train(ctx, train: TrainInput, comet):
    import former_framework
    train.plugin_metadata["architecture"] = "keypoints_regression"
    train.plugin_metadata["config"] = train.plugin_config
    data = train.dataset.path / "splits" / "complete" / "train"
    print("experiment", comet, "on", train.dataset.name, "by", train.metadata["created_by"])
    assert train.config["dataset"] and data.is_dir()
    model = former_framework.fit(train.artifact_path)
    with open(train.artifact_path / "events.out.tfevents.1", "w") as file:
        json.dump(train.dataset.metadata, file)
    events = [os.path.join(train.artifact_path, "events.out.tfevents.1")]
    return TrainOutput(model, events)

@my_plugin.command(help="Evaluate a model.")
@click.argument("name")
@click.pass_context
def eval(ctx, name):
    try:
        dataset = get_dataset(name)
    except ValueError:
        raise_parameter_error(name, "dataset name")
    print("evaluating on", dataset.path)
"""


def write_former_dataset(folder: Path) -> Path:
    """A dataset as ravenML 1 had them: records, a label map and metadata, in no project."""
    (folder / "splits" / "complete" / "train").mkdir(parents=True)
    (folder / "splits" / "complete" / "train" / "train.record-00000-of-00001").write_bytes(b"")
    (folder / "label_map.pbtxt").write_text("item {\n  id: 1\n  name: 'barrel'\n}\n")
    (folder / "metadata.json").write_text(json.dumps({"created_by": "Grace", "comments": "first light"}))
    return folder
