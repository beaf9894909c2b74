"""``raven train --remote QUEUE``: the same command line, sent to a queue instead of being run here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ravenml.common.secrets import drop_hidden, redact, redact_arguments
from ravenml.errors import InputError
from ravenml.train.record import describe_origin
from ravenml.train.request import Request

_GROUPS = (
    *("-c", "--config", "--dataset", "--name", "--local", "--set"),
    *("--remote", "--processes", "--workers", "--retries", "--cpus", "--gpus", "--memory"),
)
_REPLACED = ("-c", "--config", "--dataset", "--name", "--resume")  # what the sent settings hold already


def submit_if_remote(request: Request) -> str | None:
    """Send the training to the queue that ``--remote`` names; its run's id, or None where none is named.

    Raises:
        InputError: something of it cannot be sent; the sentence names the option.
        RavenError: the cluster or the store does not answer.
    """
    if request.remote is None:
        request.demands.refuse_without_queue()
        return None
    processes = request.demands.processes or 1
    if processes > 1 and not getattr(request.settings, "data_parallel", False):
        raise InputError(
            f"--processes: the plugin {request.plugin_name!r} trains a model with one process; leave it out."
        )
    if processes > 1 and request.wants_folds:
        raise InputError(
            "--processes trains one model with several processes, and --kfold several models; choose one."
        )
    if request.config.artifact_path is not None:
        raise InputError("--local names a folder of this machine; a remote run's result goes to the store.")
    if request.config.split is not None and request.config.split.train is not None:
        raise InputError("The config's `split` names files of this machine; tag the images instead.")
    if redact_arguments(request.arguments, request.secret_options) != request.arguments:
        raise InputError(
            "The command line holds a secret, which everybody could read in the job; set it in the "
            "environment of the workers, and name the variable under the queue's `secrets`."
        )
    from ravenml.remote.client.submit import send_dataset, submit

    config = request.config
    arguments = arguments_to_send(request.arguments, request.own_options)
    if request.names_code and "--trust-code" not in arguments:
        arguments.append("--trust-code")  # it was checked here, where it is known
    config.dataset = send_dataset(config.dataset, request.remote)
    fields = {name: value for name, value in describe_origin(request).items() if name != "parent"}
    return submit(
        ["train", "-c", CONFIG_FILE, *arguments],
        request.remote,
        record=fields,
        run_id=request.resumed.name if request.resumed is not None else None,
        config=drop_hidden(redact(config.model_dump(mode="json"))),
        plugin=request.plugin.distribution if request.plugin is not None else None,
        needs_code=False,
        resources=request.demands.resources,
        workers=processes,
        retries=request.demands.retries_or_default,
        spread_folds=request.wants_folds,
        resumable=True,
        resume_from=request.resumed,
    )


CONFIG_FILE = "{config}"  # the worker puts the path of the sent settings here


def arguments_to_send(arguments: Sequence[str], owned: Collection[str]) -> list[str]:
    """What stands behind ``raven train`` from the plugin's name on, less what the sent settings hold.

    Args:
        arguments: the command line behind ``raven``.
        owned: spellings that are the plugin's own, whatever they look like.
    """
    words = iter(arguments)
    for word in words:
        if word == "train":
            break
    for word in words:
        if word in _GROUPS:
            next(words, None)
        elif not word.startswith("-"):
            return [word, *_kept(words, [name for name in _REPLACED if name not in owned])]
    return []


def _kept(words: Iterator[str], replaced: Sequence[str]) -> Iterator[str]:
    for word in words:
        if word in replaced:
            next(words, None)
        elif not word.startswith(tuple(f"{name}=" for name in replaced)):
            yield word
