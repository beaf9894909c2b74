"""Sending a run to a queue, and sending it again when its cluster is gone."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TypedDict, Unpack

from ravenml.common.io import JsonObject, write_json
from ravenml.common.permissions import make_folder
from ravenml.common.schema import Fields
from ravenml.common.secrets import redact_arguments, redact_text
from ravenml.config.config import load_config
from ravenml.config.home import home, runs_dir
from ravenml.errors import InputError, RavenError
from ravenml.plugin.requirements import read_pins
from ravenml.remote.client.pack import pack
from ravenml.remote.client.queues import NamedQueue, queue_named
from ravenml.remote.client.ray_api import NODES, RayJobs
from ravenml.remote.client.start_notifying import tell_about
from ravenml.remote.job import Job, submission_id
from ravenml.remote.layout import ATTEMPT, RUN, STORE, RemoteRun, code_key, open_store
from ravenml.remote.mirror import Mirror
from ravenml.remote.worker import PYTHON
from ravenml.remote.worker.container import find_engine
from ravenml.runs import layout
from ravenml.runs.record import read_record
from ravenml.store.local_store import FolderStore

REMOTE = "remote.json"  # in a run's folder here: where it went
REMOTE_FIELDS = Fields({"id": str, "queue": str, "store": str}, required=("id", "store"))
# Fields of the configuration that the worker needs, too; none of them is a secret.
_CONFIG = (
    *("model_bucket_name", "dataset_bucket_name", "endpoint_url", "region"),
    *("addressing_style", "checksums", "upload_checkpoints", "mask_console", "umask"),
)
_SCRIPTS = (".py", ".sh", ".R", ".jl", ".js", ".pl", ".rb")
_INTERPRETER = re.compile(r"python[\d.]*|bash|sh|zsh|Rscript|julia|node|perl|ruby")
_HOOK = "ravenml.remote.worker.export_python"


class JobOptions(TypedDict, total=False):
    """What else a caller may say of a job; see :class:`Job`."""

    image_arguments: list[str]
    setup: list[str]
    workers: int
    retries: int
    spread_folds: bool
    resumable: bool
    config: JsonObject | None


def submit(
    command: Sequence[str],
    queue: str,
    *,
    record: Mapping[str, object] | None = None,
    run_id: str | None = None,
    cwd: Path | None = None,
    plugin: str | None = None,
    needs_code: bool = True,
    env: Mapping[str, str] | None = None,
    image: str | None = None,
    resources: Mapping[str, float] | None = None,
    resume_from: Path | None = None,
    **options: Unpack[JobOptions],
) -> str:
    """Send ``raven COMMAND`` to a queue, with the code as it is here; the run's id.

    When this returns the job is the cluster's: this machine may be switched off.

    Args:
        command: what stands behind ``raven`` on the worker, such as ``["run", "--", "python", "train.py"]``.
        queue: the queue's name.
        record: what ``run.json`` says before anything has run (plugin, config, project, name …).
        run_id: the run's name; without it, a new one.
        cwd: where the command runs, a folder of the packed checkout; without it, this one.
        plugin: the distribution of the plugin whose requirements the worker needs.
        needs_code: whether a ``cwd`` outside of any git checkout is an error.
        env: more plain variables than the queue's.
        image: another image than the queue's.
        resources: what each process or fold asks for, where it is not what the queue says.
        resume_from: a run's folder here that the worker resumes.
        options: further fields of :class:`Job`.

    Raises:
        InputError: no such queue, no checkout, too much code …; nothing was submitted.
        RavenError: the cluster or the store does not answer.
    """
    target = queue_named(queue)
    address = target.store_address()
    run_id = run_id or layout.new_run_id()
    with tempfile.TemporaryDirectory(prefix="ravenml-") as scratch:
        package = pack(Path(scratch), cwd or Path.cwd(), plugin, needs_code)
        settings = target.settings
        job = Job(
            id=run_id,
            queue=queue,
            store=address,
            arguments=list(command),
            folder=package.folder,
            code=package.digest,
            resources={**settings.resources, **(resources or {})},
            image=image or settings.image,
            env={**settings.env, **(env or {})},
            secrets=settings.secrets,
            packages=requirements(target, plugin, image or settings.image),
            python=settings.python,
            record={
                "command": ["raven", *redact_arguments(command)],
                **(record or {}),
                "remote": {"queue": queue, "from": socket.gethostname()},
            },
            **options,
        )
        if job.image and target.is_local:
            find_engine()
        run = RemoteRun(open_store(address), run_id)
        with target.cluster() as jobs:
            _check_resources(target, jobs, job)
            if run.store.head(code_key(package.digest)) is None:
                run.store.put(code_key(package.digest), package.path)
            if resume_from is not None:
                _reset_mirror(resume_from, run)
            run.write("job.json", job.as_json())
            attempt = run.attempts() + 1
            if not run.claim(attempt, {"by": socket.gethostname(), "at": time.time(), "retry": 0}):
                raise RavenError(f"Another process is submitting {run_id} right now.")
            _start(jobs, target, job, attempt, package.path)
    follow_run(job)
    if load_config().notify is not None:
        tell_about(run_id)
    return run_id


def submit_program(
    program: Sequence[str],
    queue: str,
    *,
    project: str | None = None,
    name: str | None = None,
    outputs: Sequence[str] = (),
    image: str | None = None,
    keep_new: float | None = None,
    capture: bool = True,
    resources: Mapping[str, float] | None = None,
    **options: Unpack[JobOptions],
) -> str:
    """Send any program to a queue, to be recorded there as ``raven run`` does; the run's id.

    Raises:
        InputError: the command line contains a secret, or names a script that is not here; for the rest, see
            :func:`submit`.
    """
    words = list(program)
    if redact_arguments(words) != words:
        raise InputError(
            "The command line holds a secret, which everybody could read in the job; set it in the "
            "environment of the workers, and name the variable under the queue's `secrets`."
        )
    if image is None and queue_named(queue).settings.image is None:  # an image may hold the script itself
        check_script(words, Path.cwd())
    record = {key: value for key, value in (("project", project), ("name", name)) if value}
    flags = [word for key, value in record.items() for word in (f"--{key}", value)]
    flags += [word for folder in outputs for word in ("--output", folder)]
    flags += [] if keep_new is None else ["--keep-new", f"{keep_new:g}"]
    flags += [] if capture else ["--no-capture"]
    command = ["run", *flags, "--", *words]
    return submit(
        command,
        queue,
        record={**record, "command": ["raven", *command]},
        image=image,
        resources=resources,
        **options,
    )


def check_script(program: Sequence[str], folder: Path) -> None:
    """Refuse a program whose script is not in the folder that it runs in.

    Args:
        program: its command line: a relative path, or an interpreter and its options and script.
        folder: the working folder.

    Raises:
        InputError: it is not there.
    """
    script = _script(program)
    if script is not None and not os.path.isabs(script) and not (folder / script).exists():
        raise InputError(f"{script} does not exist in {folder}, so the workers would not find it either.")


def _script(program: Sequence[str]) -> str | None:
    first, *rest = program
    if _INTERPRETER.fullmatch(first.rpartition("/")[2]) is None:
        return first if "/" in first else None
    for word in rest:
        if word.startswith(("-m", "-c")):
            return None  # a module, or the code itself
        if word.endswith(_SCRIPTS):  # other words are options, and their values
            return word
    return None


def _check_resources(target: NamedQueue, jobs: RayJobs, job: Job) -> None:
    """Refuse what this machine does not have; say what a cluster does not have now, as it may grow."""
    try:
        total = jobs.resources(patience=NODES if target.is_local else 0.0)
    except (RavenError, LookupError, TypeError):
        return  # what Ray cannot tell is not a reason to refuse
    lacking = [
        f"{amount * job.workers:g} {name} ({total.get(name, 0):g} in all)"
        for name, amount in job.resources.items()
        if amount * job.workers > total.get(name, 0)
    ]
    if not total or not lacking:
        return
    if target.is_local:
        raise InputError(f"This machine does not have {', '.join(lacking)}, which the run asks for.")
    print(
        f"Note: the cluster of {target.name!r} does not have {', '.join(lacking)}; the run waits until it "
        "does.",
        file=sys.stderr,
    )


def resubmit(job: Job, attempt: int) -> None:
    """Start one more attempt of a run whose cluster is gone; its claim is the caller's.

    Raises:
        RavenError: the cluster or the store does not answer.
    """
    target = queue_named(job.queue)
    store = open_store(job.store)
    with target.cluster() as jobs, tempfile.TemporaryDirectory(prefix="ravenml-") as scratch:
        package = Path(scratch) / "code.zip"
        store.get(code_key(job.code), package)
        _start(jobs, target, job, attempt, package)


def _start(jobs: RayJobs, target: NamedQueue, job: Job, attempt: int, package: Path) -> None:
    environment = {**job.env, RUN: job.id, ATTEMPT: str(attempt), STORE: job.store}
    jobs.submit(
        submission_id(job.id, attempt),
        entrypoint(job.python, "ravenml.remote.worker.supervisor"),
        runtime_environment(jobs, target, package, job.code, job.packages, environment),
        {"raven_run": job.id, "raven_attempt": str(attempt)},
    )


def entrypoint(python: str | None, module: str) -> str:
    """The shell command that runs a module of ours with the cluster's Python."""
    named = shlex.quote(python) if python else f'"${{{PYTHON}:-python3}}"'
    return f"exec {named} -m {module}"


def runtime_environment(
    jobs: RayJobs,
    target: NamedQueue,
    package: Path,
    digest: str,
    packages: Sequence[str],
    env: Mapping[str, str],
) -> JsonObject:
    """What Ray makes ready for a job: the packed code, variables, packages."""
    environment: JsonObject = {
        "working_dir": jobs.upload(package, digest),
        "worker_process_setup_hook": _HOOK,
        "env_vars": {**_worker_config(target), **env, "__RAY_WORKER_PROCESS_SETUP_HOOK_ENV_VAR": _HOOK},
    }
    if packages:
        environment["pip"] = {"packages": list(packages), "pip_check": False}
    return environment


def _worker_config(target: NamedQueue) -> dict[str, str]:
    """What of this machine's configuration holds on the worker."""
    if target.is_local:
        return {"RAVENML_STORAGE_PATH": str(home())}
    config = load_config()
    values = {name: getattr(config, name) for name in _CONFIG}
    sent = {f"RAVENML_{name.upper()}": str(value) for name, value in values.items() if value is not None}
    for name, value in sent.items():
        if redact_text(value) != value and name not in target.settings.secrets:
            raise InputError(
                f"`{name.removeprefix('RAVENML_').lower()}` of the configuration holds a secret, which "
                f"everybody could read in the job; set {name} on the workers, and name it under "
                f"`queues.{target.name}.secrets`."
            )
    return {name: value for name, value in sent.items() if name not in target.settings.secrets}


def requirements(target: NamedQueue, plugin: str | None = None, image: str | None = None) -> list[str]:
    """The requirements that Ray installs: the plugin's compiled ones, or those of the queue's file."""
    wanted = target.settings.requirements
    if wanted == "none" or target.is_local:
        return []
    if wanted != "plugin":
        path = Path(wanted).expanduser()
        if not path.is_file():
            raise InputError(f"`queues.{target.name}.requirements`: {path} does not exist.")
        lines = [line.split(" #")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
        if any(redact_text(line) != line for line in lines):
            raise InputError(
                f"`queues.{target.name}.requirements`: {path} holds a secret, which everybody could read "
                "in the job; give pip its password on the workers (PIP_INDEX_URL, ~/.netrc)."
            )
        return [line for line in lines if line and not line.startswith("#")]
    core = [line for line in distribution("ravenml").requires or [] if "extra ==" not in line]
    if image is not None or plugin is None:
        return core
    compiled = _compiled(plugin, gpu=bool(target.settings.resources.get("GPU")))
    if compiled is None:
        raise InputError(
            f"The compiled requirements of {plugin} are not beside its package; name a file under "
            f"`queues.{target.name}.requirements`, or `none` where the cluster has what it needs."
        )
    pinned = read_pins(compiled)
    return [f"{name}=={version}" for name, version in pinned.items()] + [
        line for line in core if line.split(">")[0].split("=")[0].strip().lower() not in pinned
    ]


def _compiled(plugin: str, gpu: bool) -> Path | None:
    """``requirements.txt`` beside the package of a plugin that lies in a checkout."""
    from importlib.util import find_spec

    try:
        points = distribution(plugin).entry_points
    except PackageNotFoundError:
        return None
    for point in points:
        spec = find_spec(point.module.partition(".")[0])
        for folder in (spec.submodule_search_locations or []) if spec is not None else []:
            for name in ("requirements-gpu.txt", "requirements.txt")[not gpu :]:
                if (Path(folder).parent / name).is_file():
                    return Path(folder).parent / name
    return None


def follow_run(job: Job, where: str | None = None) -> None:
    """Make the run known on this machine: `raven runs` shows it, and brings what its mirror has.

    Args:
        job: what was sent.
        where: the store's address, if this machine knows it under another one than the sender.
    """
    folder = runs_dir() / job.id
    make_folder(folder)
    where = where or job.store
    if isinstance(open_store(where), FolderStore):
        where = os.path.abspath(where)
    # Until its cluster is heard of it waits; without this it would count as lost.
    write_json(folder / layout.HEARTBEAT, {"state": "waiting", "at": time.time()})
    write_json(folder / REMOTE, {"v": 1, "id": job.id, "queue": job.queue, "store": where})
    if not (folder / layout.RUN_JSON).exists():
        write_json(folder / layout.RUN_JSON, job.first_record())
    mark = following() / job.id
    make_folder(mark.parent)
    mark.write_text(json.dumps({"folder": str(folder)}))


def _reset_mirror(folder: Path, run: RemoteRun) -> None:
    """Make the mirror of a run that is resumed elsewhere; its former result no longer counts, and a
    request to stop was for the attempt that it was made to.
    """
    (folder / layout.CONTROL).unlink(missing_ok=True)
    for prefix in ("control", "heartbeat", "waiting"):  # the folds' too
        for entry in list(run.store.list(run.key(prefix))):
            run.store.delete(entry.key)
    if not (folder / REMOTE).exists():
        Mirror(run, folder).round()
    record = {**read_record(folder), "result": None}
    run.write(f"files/{layout.RUN_JSON}", record)
    write_json(folder / layout.RUN_JSON, record)


def send_dataset(name: str | None, queue: str) -> str | None:
    """How a worker of the queue knows a dataset: by its name in the bucket, or by a path that is shared.

    Raises:
        InputError: it is a folder of this machine, and no dataset of its name is in the bucket.
    """
    target = queue_named(queue)
    if name is None or target.is_local or "://" not in target.store_address():
        return name
    folder = Path(name)
    if not folder.is_absolute():
        return name
    from ravenml.store.factory import bucket

    datasets = bucket("datasets")
    if datasets is None or datasets.head(f"{folder.name}/meta.json") is None:
        raise InputError(
            f"The workers of {queue!r} do not have {folder}; store it with `raven data push {folder}`, and "
            f"name it: --dataset {folder.name}"
        )
    return folder.name


def following() -> Path:
    """The folder with a file for each remote run that has not ended, as far as is known here."""
    return home() / "remote" / "following"
