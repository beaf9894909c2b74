"""Where a plugin finds its task."""

from __future__ import annotations

import os

ARTIFACTS = "artifacts"
CODE = "code"
CONFIG_JSON = "config.json"
DATA = "data"
GRAPH_JSON = "graph.json"
MODEL = "model"
PROJECTS = "projects"
RESULTS = "results"
TASK_CONFIG_JSON = "task_config.json"
TMP = "tmp"


class TaskPaths:
    """The paths of the task folder, as text.

    Without an agent, ``SLY_TASK_DATA`` may name another folder than ``/sly_task_data``.
    """

    TASK_DIR = os.environ.get("SLY_TASK_DATA", "/sly_task_data")
    DATA_DIR = os.path.join(TASK_DIR, DATA)
    RESULTS_DIR = os.path.join(TASK_DIR, RESULTS)
    DEBUG_DIR = os.path.join(TASK_DIR, TMP)
    MODEL_DIR = os.path.join(TASK_DIR, MODEL)
    MODEL_CONFIG_NAME = CONFIG_JSON
    MODEL_CONFIG_PATH = os.path.join(MODEL_DIR, MODEL_CONFIG_NAME)
    TASK_CONFIG_PATH = SETTINGS_PATH = os.path.join(TASK_DIR, TASK_CONFIG_JSON)
    GRAPH_PATH = os.path.join(TASK_DIR, GRAPH_JSON)
    OUT_ARTIFACTS_DIR = os.path.join(RESULTS_DIR, ARTIFACTS)
    OUT_PROJECTS_DIR = os.path.join(RESULTS_DIR, PROJECTS)
