"""Nothing in the code base turns data into code: what ruff's rules cannot see."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = [*(ROOT / "ravenml").rglob("*.py"), *(ROOT / "plugins").glob("*/ravenml_*/**/*.py")]
# Each call that could run what a file says, and what it must be told.
SAFE = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "keras.models.load_model": ("safe_mode", True),
    "keras.saving.load_model": ("safe_mode", True),
}
FORBIDDEN = (
    "pickle.load", "pickle.loads", "pickle.Unpickler", "dill.load", "dill.loads", "cloudpickle.load",
    "cloudpickle.loads", "joblib.load", "shelve.open", "marshal.load", "marshal.loads", "pd.read_pickle",
    "pandas.read_pickle", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter",
    "keras.config.enable_unsafe_deserialization", "yaml.unsafe_load", "yaml.full_load",
)  # fmt: skip
# Names that are made while the program runs are imported in these files alone.
IMPORTERS = {
    "ravenml/capture/__init__.py": "its own files, from a table in it",
    "ravenml/__init__.py": "public names, from a table in it",
    "ravenml/renamed.py": "former names, from a table in it",
    "ravenml/cli/__init__.py": "command groups, from a table in it",
    "ravenml/dashboard/pages.py": "pages, from a table in it",
    "ravenml/dashboard/train/view.py": "the wizard's steps, by their names in it",
    "ravenml/task/__init__.py": "public names, from a table in it",
    "ravenml/sly/__init__.py": "public names, from a table in it",
    "ravenml/sly/module_alias.py": "Supervisely's names, from a table in it",
    "ravenml/utils/plugins.py": "what a plugin's author names in code",
    "ravenml/plugin/user_code.py": "the user's own code, which is trusted",
    "ravenml/train/scores.py": "a plugin's function, or trusted code",
    "plugins/ravenml_unet/ravenml_unet/models/registry.py": "the plugin's networks, from a table in it",
}


@cache
def calls() -> list[tuple[str, str, ast.Call]]:
    """Every call: its file, the name that is called, and the call."""
    return [
        (path.relative_to(ROOT).as_posix(), ast.unparse(node.func), node)
        for path in CODE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    ]


def test_files_are_loaded_as_data_alone() -> None:
    for file, name, call in calls():
        assert not name.endswith(FORBIDDEN), f"{file}:{call.lineno}: {name} runs what a file says"
        if name in SAFE:
            option, value = SAFE[name]
            given = {one.arg: ast.unparse(one.value) for one in call.keywords}
            assert given.get(option) == str(value), f"{file}:{call.lineno}: {name} needs {option}={value}"


def test_names_that_are_made_at_run_time_are_imported_where_it_is_thought_through() -> None:
    importers = {
        file
        for file, name, call in calls()
        if name.split(".")[-1] in ("import_module", "__import__", "run_path", "spec_from_file_location")
        and not isinstance(call.args[0], ast.Constant)
    }
    assert importers <= IMPORTERS.keys()
    assert IMPORTERS.keys() <= importers, "a line of this table is about nothing any more"
