"""Everything that a plugin may offer: entry points, and what the objects behind them may have.

Whatever reads a plugin takes the names of groups and files from here.  ``docs/plugins.md`` shows
:data:`HOOKS` as a table; a test compares it with the classes and protocols that plugins implement.
"""

from __future__ import annotations

from typing import NamedTuple

TRAIN = "ravenml.plugins.train"
SETTINGS = "ravenml.plugins.settings"
PREDICT = "ravenml.plugins.predict"
DATA = "ravenml.plugins.data"
TRACK = "ravenml.plugins.track"
PRESETS = "predefined_run_configs.json"


class Hook(NamedTuple):
    """One thing that a plugin may offer.

    Attributes:
        group: the entry-point group, whose object has it.
        name: of the attribute or method; empty for the object itself.
        purpose: what it is for, in Markdown.
        required: whether an object of this group must have it.
    """

    group: str
    name: str
    purpose: str
    required: bool = False


HOOKS = (
    Hook(TRAIN, "", "a Click group with a command marked `@pass_train`: `raven train NAME COMMAND`", True),
    Hook(SETTINGS, "", "a subclass of `TrainSettings`: options, form and checks of the training command"),
    Hook(SETTINGS, "best_metric", "address of the metric that selects the best checkpoint (`val/loss`)"),
    Hook(SETTINGS, "best_mode", "`max` or `min` (default): which value of it is best"),
    Hook(SETTINGS, "command", "name of the training command (`train`)"),
    Hook(SETTINGS, "data_parallel", "whether several processes can train one model (`--processes`)"),
    Hook(SETTINGS, "learns", "`segmentation` or `detection`; `raven data` suggests the plugin accordingly"),
    Hook(SETTINGS, "choices(field)", "values of a text field, each with a line of text and parameter count"),
    Hook(SETTINGS, "learning_rates(steps)", "learning rate of every step, for the dashboard's curve"),
    Hook(SETTINGS, "parallel_folds(project, folds)", "number of folds that train fastest at once (`--jobs`)"),
    Hook(
        SETTINGS,
        "find_problems(classes)",
        "what a project with these classes cannot be trained for, by field",
    ),
    Hook(SETTINGS, "augmented(image, count, seed)", "augmented copies of an image, for the live preview"),
    Hook(SETTINGS, "augmented_with_mask(image, mask, count, seed)", "the same, each with its changed mask"),
    Hook(SETTINGS, "augmentation_code()", "augmentations as Python, to copy from the dashboard"),
    Hook(SETTINGS, PRESETS, "file next to the settings' module: presets for training and inference"),
    Hook(PREDICT, "", "a function `load(model_dir, device)` that returns a predictor"),
    Hook(
        PREDICT,
        "accepts(folder)",
        ("function next to `load`: whether it can load a folder that another program made"),
    ),
    Hook(
        PREDICT,
        "export(predictors, kind, path)",
        "function next to `load`: writes models as an ONNX or TorchScript file",
    ),
    Hook(PREDICT, "task", "predictor: `segmentation` or `detection`", True),
    Hook(PREDICT, "classes", "predictor: the classes' titles in index order", True),
    Hook(PREDICT, "input_size", "predictor: width and height in pixels of what the network sees", True),
    Hook(PREDICT, "predict(images, want)", "predictor: labels, probabilities or boxes of a batch", True),
    Hook(PREDICT, "batch_size", "predictor: number of images that are fastest at once"),
    Hook(PREDICT, "configure(settings)", "predictor: takes the section `model` of a config for inference"),
    Hook(PREDICT, "device", "predictor: where it computes (`cpu`, `cuda:0`)"),
    Hook(PREDICT, "obj_classes", "predictor: its classes with colours"),
    Hook(DATA, "", "a subclass of `Format`: `raven data import` and `export`"),
    Hook(DATA, "title", "the format's name for people"),
    Hook(DATA, "sign", "what `recognises` looks for, in words, for `raven data import auto`"),
    Hook(DATA, "holds", "what annotations of the format can express; the rest is converted or counted"),
    Hook(DATA, "recognises(path)", "whether a file or folder looks like this format"),
    Hook(DATA, "read(source)", "yields the images of a source with their objects", True),
    Hook(DATA, "write(export)", "writes a project; a format without it is only read"),
    Hook(TRACK, "", "a subclass of `Exporter`: a tracker that every run's events are sent to (`track`)"),
    Hook(TRACK, "resumable", "whether another process can continue with its `state` (default)"),
    Hook(TRACK, "alone", "whether a process has room for only one of its kind"),
    Hook(TRACK, "take(events)", "sends events; they have arrived when it returns", True),
    Hook(TRACK, "start_over()", "removes everything sent, because all that counts is sent again", True),
    Hook(TRACK, "close(status, record)", "the run has ended"),
    Hook(TRACK, "leave()", "the process ends; the run may continue"),
    Hook(TRACK, "where()", "where a person finds the run"),
)


def hooks_table() -> str:
    """:data:`HOOKS` as a Markdown table."""
    lines = ["| entry-point group | name | what it is for |", "| --- | --- | --- |"]
    for hook in HOOKS:
        group = f"`{hook.group}`" if not hook.name else ""
        name = f"`{hook.name}`" if hook.name else "the object"
        lines.append(f"| {group} | {name}{' (required)' * hook.required} | {hook.purpose} |")
    return "\n".join(lines) + "\n"
