"""Where a plugin finds its task."""

from __future__ import annotations

import os
from pathlib import Path


class TaskPaths:
    """The paths of the task folder, as text.

    Without an agent, ``SLY_TASK_DATA`` may name another folder than ``/sly_task_data``.
    """

    TASK_DIR = os.environ.get("SLY_TASK_DATA", "/sly_task_data")
    DATA_DIR = os.path.join(TASK_DIR, "data")
    RESULTS_DIR = os.path.join(TASK_DIR, "results")
    DEBUG_DIR = os.path.join(TASK_DIR, "tmp")
    MODEL_DIR = os.path.join(TASK_DIR, "model")
    MODEL_CONFIG_NAME = "config.json"
    MODEL_CONFIG_PATH = os.path.join(MODEL_DIR, MODEL_CONFIG_NAME)
    TASK_CONFIG_PATH = SETTINGS_PATH = os.path.join(TASK_DIR, "task_config.json")


def mkdir(path: str) -> None:
    """Make a folder with its parents, if it is not there."""
    Path(path).mkdir(parents=True, exist_ok=True)


def dir_empty(path: str) -> bool:
    """Whether a folder is empty or is not there."""
    return not os.path.isdir(path) or not os.listdir(path)


def dir_exists(path: str) -> bool:
    """Whether a folder is there."""
    return os.path.isdir(path)


def file_exists(path: str) -> bool:
    """Whether a file is there."""
    return os.path.isfile(path)


def get_directory_size(path: str) -> int:
    """The bytes of all files in a folder."""
    return sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())
