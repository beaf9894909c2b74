"""The settings of programs that use Hydra, Fire, absl or jsonargparse."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from .reporting import guarded, report_settings


def watch_hydra(utils: Any) -> None:
    """Report the composed configuration, and the overrides of the command line apart."""
    original = utils.run_job

    @functools.wraps(original)
    def run_job(*args: Any, **kwargs: Any) -> Any:
        _report_hydra(inspect.signature(original).bind(*args, **kwargs).arguments["config"])
        return original(*args, **kwargs)

    utils.run_job = run_job


@guarded
def _report_hydra(config: Any) -> None:
    from omegaconf import OmegaConf

    plain: Any = OmegaConf.to_container(config, resolve=False)
    hydra = plain.pop("hydra", None) or {}
    overrides = (hydra.get("overrides") or {}).get("task") or []
    report_settings({**plain, **({"overrides": overrides} if overrides else {})}, "hydra")


def watch_fire(core: Any) -> None:
    """Report what Fire calls a function or class of the program with, defaults included."""
    original = core._CallAndUpdateTrace

    @functools.wraps(original)
    def call(component: Any, *args: Any, **kwargs: Any) -> Any:
        if inspect.isroutine(component) or inspect.isclass(component):
            metadata = core.decorators.GetMetadata(component)
            component = _reporting(component)
            component.FIRE_METADATA = metadata  # a class takes no words by their place, unlike a function
        return original(component, *args, **kwargs)

    core._CallAndUpdateTrace = call


def _reporting(component: Any) -> Any:
    @functools.wraps(component)
    def called(*args: Any, **kwargs: Any) -> Any:
        _report_call(component, args, kwargs)
        return component(*args, **kwargs)

    return called


@guarded
def _report_call(component: Any, args: Any, kwargs: Any) -> None:
    signature = inspect.signature(component)
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    settings = dict(bound.arguments)
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            settings |= settings.pop(name)
        elif parameter.kind is parameter.VAR_POSITIONAL and not settings[name]:
            del settings[name]
    report_settings(settings, "fire")


def watch_absl(flags: Any) -> None:
    """Report the flags of all modules but absl's own."""
    original = flags.FlagValues.__call__

    @functools.wraps(original)
    def parse(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        _report_absl(self)
        return result

    flags.FlagValues.__call__ = parse


@guarded
def _report_absl(values: Any) -> None:
    defined = values.flags_by_module_dict()
    flags = [flag for module in defined if not module.startswith("absl.") for flag in defined[module]]
    report_settings({flag.name: flag.value for flag in flags}, "absl")


def watch_jsonargparse(core: Any) -> None:
    """Report what a parser of jsonargparse makes of the command line and of configuration files."""
    original = core.ArgumentParser.parse_args

    @functools.wraps(original)
    def parse_args(self: Any, args: Any = None, *more: Any, **kwargs: Any) -> Any:
        result = original(self, args, *more, **kwargs)
        if args is None:
            guarded(lambda: report_settings(result.as_dict(), "jsonargparse"))()
        return result

    core.ArgumentParser.parse_args = parse_args
