"""Options that several commands of ``raven agent`` have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

MODE = click.option(
    "--mode",
    type=click.Choice(["train", "inference", "deploy"]),
    required=True,
    help="Which of src/train.py, src/inference.py and src/deploy.py to start.",
)
DATA = click.option("--data", metavar="PROJECT", help="A Supervisely project: its folder, or a known name.")
MODEL = click.option(
    "--model", metavar="MODEL", help="A model-state.tar, a run or a stored model to start from."
)
CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A JSON or YAML file: what task_config.json will hold.",
)
PRESET = click.option("--preset", metavar="TITLE", help="One of the plugin's predefined run configs.")
ISOLATION = click.option(
    "--isolation",
    type=click.Choice(["docker", "bwrap", "none"]),
    help="How the program is shut in.  Default: the best that is there.",
)
PYTHON = click.option(
    "--python",
    type=click.Path(path_type=Path),
    help="The interpreter, outside of docker.  Default: the plugin's .venv, else raven's own.",
)
NETWORK = click.option("--network", is_flag=True, help="Let the program use the network.")
PORT = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="For --mode deploy: the port on 127.0.0.1.  Default: 8000, or the next free one.",
)
FORCE = click.option("--force", is_flag=True, help="Use a model for transfer learning only.")
PLUGIN = click.argument("plugin", metavar="PLUGIN_DIR", type=click.Path(path_type=Path))


def shared(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Add options to a command, in this order."""

    def add(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return add
