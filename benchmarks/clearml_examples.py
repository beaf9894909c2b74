"""How many of the names that ClearML scripts use are there in ravenML, and how many scripts run unchanged?

    python benchmarks/clearml_examples.py CHECKOUT [--missing] [--run] [--only TEXT ...] [--path FOLDER]

CHECKOUT is a folder of scripts, such as ClearML's own `examples`.  Names are counted by how many files use
them, as far as the source shows what an object is: imports, and attributes of what `Task.init` and the like
return.

With `--run`, each script runs unchanged in a home and a copy of its folder of its own.  A package `clearml`
that is made for it hands on the names of `ravenml.task`, and it runs as on a worker, where `execute_remotely`
does nothing.  A script runs if it ends with 0, or if it is still
at work when its time is over.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PACKAGES = ("clearml", "trains")
# What a call returns that a script goes on to use, by the method's name.
RETURNS = {
    **{
        f"Task.{name}": "Task"
        for name in ("init", "get_task", "current_task", "create", "clone", "import_task")
    },
    **{
        name: "Logger"
        for name in ("Task.get_logger", "Task.logger", "Logger.current_logger", "Dataset.get_logger")
    },
    **{name: "Dataset" for name in ("Dataset.get", "Dataset.create", "Dataset.squash")},
}
# Products of the server: no script of these folders can be judged without one.
LEFT_OUT = ("hyperdatasets", "router", "scheduler", "services", "legacy", "clearml_agent", "notebooks")
# Arguments that a script requires, and scripts that have to run in the same home before.
ARGUMENTS = {
    "click_multi_cmd.py": ["hello", "--count", "2", "--name", "a"],
    "click_single_cmd.py": ["--count", "2", "--name", "a"],
    "fire_class_cmd.py": ["add", "1", "2"],
    "fire_single_cmd.py": ["--count", "2"],
    "upload_local_model.py": ["--model-path", "upload_local_model.py", "--model-name", "own"],
    "jsonargparse_command.py": ["person", "a"],
}
BEFORE = {
    "artifacts_retrieval.py": ["artifacts.py"],
    "manual_random_param_search_example.py": [
        "../optimization/hyper-parameter-optimization/base_template_keras_simple.py"
    ],
    "programmatic_orchestration.py": ["toy_base_task.py"],
    "hyper_parameter_optimizer.py": ["base_template_keras_simple.py"],
    "pipeline_from_tasks.py": [
        "step1_dataset_artifact.py",
        "step2_data_processing.py",
        "step3_train_model.py",
    ],
    "urbansounds_dataset_preprocessing.py": ["urbansounds_get_data.py"],
    "data_ingestion.py": ["dataset_creation.py"],
}
# What nobody has here: a GitHub repository, and the ID of a run that an agent is running.
NEEDS = {
    "check_remotely_runnable.py": "the ID of a run of an agent",
    "task_stats_to_comment.py": "a pull request",
}
# How a script's error says that it lacks a package, a file of its own, the internet, or a GPU.  Only the line
# with the error counts, since whatever else is printed may hold these words; and a script that misses
# arguments counts against ravenML until ARGUMENTS has them, since a wrong hook would look the same.
UNJUDGED = re.compile(
    r"ModuleNotFoundError: No module named (?!'(?:ravenml|clearml|trains)\b)"
    r"|ImportError: (?!.*(?:ravenML|ravenml))"
    r"|(?:URLError|HTTPError|ConnectionError|MaxRetryError|ProxyError|SSLError|gaierror|OfflineModeIsEnabled)\b"
    r"|Temporary failure in name resolution|No address associated with hostname|CERTIFICATE_VERIFY_FAILED"
    r"|cannot be fetched|failed to download|couldn't connect to 'https?://"
    r"|FileNotFoundError: \[Errno 2\] No such file or directory: '[^/]"
    r"|ExecutableNotFound|CUDA is not available|Torch not compiled with CUDA|No CUDA GPUs"
)
SHIM = '''
import importlib, sys, types
from importlib.machinery import ModuleSpec
import ravenml.task as names


class Finder:
    """Any module below this package has the names of `ravenml.task`."""

    MODULES = (
        *("automation", "auto_scaler", "aws_driver", "backend_api", "client", "config", "controller"),
        *("datasets", "external", "hpbandster", "kerastuner", "logger", "model", "monitor", "optuna"),
        *("optimization", "parameters", "plotly_reporter", "session", "storage", "task"),
        *("task_parameters", "utilities"),
    )

    @staticmethod
    def find_spec(name, path=None, target=None):
        own, _, parts = name.partition(".")
        known = own == __name__ and set(parts.split(".")) <= set(Finder.MODULES)
        return ModuleSpec(name, Finder, is_package=True) if known else None

    @staticmethod
    def create_module(spec):
        module = types.ModuleType(spec.name)
        module.__getattr__ = lambda name: getattr(names, name)
        return module

    @staticmethod
    def exec_module(module):
        pass


sys.meta_path.insert(0, Finder)


def __getattr__(name):
    if name.startswith("__") or name in Finder.MODULES:
        raise AttributeError(name)
    return getattr(names, name)
'''


class Names(ast.NodeVisitor):
    """The names of ClearML that one source uses (`Task`, `Task.init`, `Logger.report_scalar`)."""

    def __init__(self, source: str) -> None:
        self.used: set[str] = set()
        self._classes: dict[str, str] = {}  # local name: ClearML's
        self._objects: dict[str, str] = {}  # expression: class
        tree = ast.parse(source)
        for _ in range(2):  # what is assigned below may be used above, in a function
            self.visit(tree)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if (node.module or "").partition(".")[0] in PACKAGES and not node.level:
            for name in node.names:
                self.used.add(name.name)
                self._classes[name.asname or name.name] = name.name

    def visit_Import(self, node: ast.Import) -> None:
        for name in node.names:
            if name.name.partition(".")[0] in PACKAGES:
                self._classes[name.asname or name.name] = ""

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        if kind := self._kind(node.value):
            for target in node.targets:
                self._objects[ast.unparse(target)] = kind

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        owner = self._kind(node.value)
        if owner is not None and not node.attr.startswith("_"):
            self.used.add(f"{owner}.{node.attr}" if owner else node.attr)

    def _kind(self, node: ast.expr) -> str | None:
        """The class of ClearML's that an expression is, or is an object of."""
        if isinstance(node, ast.Await):
            return self._kind(node.value)
        if (known := self._objects.get(ast.unparse(node))) is not None:
            return known
        if isinstance(node, ast.Name):
            return self._classes.get(node.id)
        if isinstance(node, ast.Attribute) and (owner := self._kind(node.value)) is not None:
            return RETURNS.get(f"{owner}.{node.attr}") if owner else node.attr
        if isinstance(node, ast.Call):
            name = node.func
            if isinstance(name, ast.Attribute) and (owner := self._kind(name.value)):
                return RETURNS.get(f"{owner}.{name.attr}")
            return self._kind(name)
        return None


def find_scripts(checkout: Path) -> Iterator[Path]:
    """All Python files that import ClearML, but for those of products of its server."""
    imports = re.compile(rf"^\s*(?:from|import)\s+(?:{'|'.join(PACKAGES)})\b", re.MULTILINE)
    for path in sorted(checkout.rglob("*.py")):
        parts = path.relative_to(checkout).parts
        if not set(parts) & set(LEFT_OUT) and imports.search(path.read_text(errors="replace")):
            yield path


def is_there(name: str) -> bool:
    """Whether ravenML has a name: of a module, of a class, or of its objects."""
    import ravenml.task

    owner, _, attribute = name.partition(".")
    try:
        kind = getattr(ravenml.task, owner)
    except (AttributeError, ImportError):
        return False
    if not inspect.isclass(kind):
        return not attribute
    annotated = [one for base in inspect.getmro(kind) for one in inspect.get_annotations(base)]
    return not attribute or attribute in annotated or hasattr(kind, attribute)


def count_names(scripts: list[Path], missing: bool) -> None:
    users: defaultdict[str, list[str]] = defaultdict(list)
    for path in scripts:
        try:
            used = Names(path.read_text(errors="replace")).used
        except SyntaxError:
            continue
        for name in used:
            users[name].append(path.name)
    there = {name: is_there(name) for name in users}
    uses = sum(len(files) for files in users.values())
    resolved = sum(len(files) for name, files in users.items() if there[name])
    print(f"{len(scripts)} scripts use {len(users)} names: {sum(there.values())} are there", end=" ")
    print(f"({sum(there.values()) / len(users):.0%}); of {uses} uses, {resolved} ({resolved / uses:.0%}).")
    if missing:
        for name, files in sorted(users.items(), key=lambda item: (-len(item[1]), item[0])):
            if not there[name]:
                print(f"  {len(files):3} {name}  ({', '.join(sorted(files)[:3])})")


@contextmanager
def prepare(path: Path, checkout: Path, paths: list[str]) -> Iterator[tuple[Path, dict[str, str]]]:
    """A copy of the folder of a script, and an environment with a home of its own in which it can run."""
    with tempfile.TemporaryDirectory(prefix="clearml_examples_") as place:
        work = Path(place)
        (work / "shim" / "clearml").mkdir(parents=True)
        (work / "shim" / "clearml" / "__init__.py").write_text(SHIM)
        (work / "home").mkdir()
        shutil.copytree(checkout, work / "examples")
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("RAVENML_", "CLEARML_"))
        }
        own = {
            "HOME": str(work / "home"),
            "RAVENML_WORKER": "1",
            "PYTHONPATH": os.pathsep.join([str(work / "shim"), *paths]),
            "MPLBACKEND": "Agg",
            "RAVENML_TRACK": "none",
            "RAVENML_STORAGE_PATH": str(work / "home" / "raven"),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "HF_HUB_OFFLINE": "1",
            "TMPDIR": str(work / "home"),
        }
        yield work / "examples" / path.relative_to(checkout).parent, {**inherited, **own}


def run_script(path: Path, checkout: Path, paths: list[str], limit: float) -> tuple[str, str]:
    """Run a script, and what has to run before it.

    Returns:
        `runs`, `ravenML` (it stops because of it) or `unjudged`, and why.
    """
    if path.name in NEEDS:
        return "unjudged", f"needs {NEEDS[path.name]}"
    with prepare(path, checkout, paths) as (here, environment):
        for name in (*BEFORE.get(path.name, ()), path.name):
            script = here / name
            command = [sys.executable, script.name, *ARGUMENTS.get(script.name, ())]
            code, text = run(command, script.parent, environment, limit)
            if code not in (0, None) and script.name != path.name:
                return judge(text)[0], f"{script.name}: {judge(text)[1]}"
        if code == 0:
            return "runs", ""
        return ("runs", f"at work after {limit:.0f} s") if code is None else judge(text)


def judge(text: str) -> tuple[str, str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [
        line
        for line in lines
        if re.match(r"(\w+\.)*\w*(Error|Exception|NotFound|Exit)\b.*|Error: |ImportError", line)
    ]
    why = (errors or lines or [""])[-1]
    frames = re.findall(r'File "([^"]+)"', text)
    ours = bool(frames) and f"{os.sep}ravenml{os.sep}" in frames[-1]
    if (not ours or "cannot be fetched" in why) and UNJUDGED.search(why):
        return "unjudged", why
    return "ravenML", why


def run(
    command: list[str], folder: Path, environment: dict[str, str], limit: float
) -> tuple[int | None, str]:
    """A command's exit code, None where its time was over, and what it printed."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        try:
            code: int | None = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        output.seek(0)
        return code, output.read().decode(errors="replace")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument(
        "--missing", action="store_true", help="list the names that are missing, and their users"
    )
    parser.add_argument("--run", action="store_true", help="run each script")
    parser.add_argument("--only", nargs="*", default=(), help="only scripts whose path contains one of these")
    parser.add_argument("--path", action="append", default=[], help="a folder with further packages")
    parser.add_argument("--limit", type=float, default=60, help="seconds for one script")
    chosen = parser.parse_args()
    scripts = list(find_scripts(chosen.checkout))
    count_names(scripts, chosen.missing)
    if not chosen.run:
        return 0
    found: defaultdict[str, int] = defaultdict(int)
    paths = [str(Path(__file__).parents[1]), *(str(Path(one).absolute()) for one in chosen.path)]
    for path in scripts:
        name = path.relative_to(chosen.checkout).as_posix()
        if not chosen.only or any(one in name for one in chosen.only):
            outcome, why = run_script(path, chosen.checkout, paths, chosen.limit)
            found[outcome] += 1
            print(f"{outcome:9} {name:72} {why[:150]}", flush=True)
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(found.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
