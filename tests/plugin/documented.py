"""A training plugin as the documents of ravenML 1 have people write it: its install.sh knows no journal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

CORE = """\
import click
from ravenml.train.options import kfold_opt, pass_train
from ravenml.train.interfaces import TrainInput, TrainOutput

@click.group(help='Top level command group description')
@click.pass_context
@kfold_opt
def <plugin_name>(ctx, kfold):
    pass

@<plugin_name>.command()
@pass_train
@click.pass_context
def train(ctx, train: TrainInput):
    result = TrainOutput()
    return result               # return result back up the command chain
"""

SETUP = """\
from setuptools import setup

setup(
    name='ravenml_<plugin_name>',
    version='0.1',
    description='Training plugin for ravenML',
    packages=['ravenml_<plugin_name>'],
    install_requires=[
        'Click',
    ],
    entry_points='''
        [ravenml.plugins.train]
        <plugin_name>=ravenml_<plugin_name>.core:<plugin_name>
    '''
)
"""

INSTALL = """\
#!/usr/bin/env bash

set -o errexit
set -o pipefail
set -o nounset

# parse flags
install=1
requirements_prefix="requirements"
while getopts "ugd" opt; do
    case "$opt" in
        u)
            install=0
            ;;
        g)
            requirements_prefix="requirements-gpu"
            echo "-- GPU mode!"
            ;;
     esac
done

if [ $install -eq 1 ]; then
    echo "Installing..."
    pip-compile --output-file $requirements_prefix.txt $requirements_prefix.in
    pip install -r $requirements_prefix.txt
else
    echo "Uninstalling..."
    pip uninstall <plugin_name> -y
fi
"""


def write_documented(plugins: Path, name: str, wanted: Sequence[str], folder: str = "") -> Path:
    """Write the plugin ``ravenml_<name>`` into a checkout's ``plugins``.

    Args:
        wanted: the lines of its ``requirements.in``.
        folder: the name of its folder, if that is another than the package's.
    """
    package = f"ravenml_{name}"
    at = plugins / (folder or package)
    (at / package).mkdir(parents=True)
    (at / package / "__init__.py").touch()
    for file, text in ((f"{package}/core.py", CORE), ("setup.py", SETUP), ("install.sh", INSTALL)):
        (at / file).write_text(text.replace("<plugin_name>", name))
    (at / "install.sh").chmod(0o755)
    for file in ("requirements.in", "requirements-gpu.in"):
        (at / file).write_text("".join(f"{line}\n" for line in wanted))
    return at
