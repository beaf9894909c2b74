"""The manifest in the docs, against what KubeRay's custom resource takes (``rayjob_schema.yaml``)."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

MANIFEST = Path(__file__).resolve().parents[2] / "docs" / "kuberay.yaml"
SCHEMA = Path(__file__).with_name("rayjob_schema.yaml")


@pytest.fixture
def manifest() -> dict[str, Any]:
    # Anchors make one object of two places: a change to one must not be a change to the other.
    found: dict[str, Any] = copy.deepcopy(yaml.safe_load(MANIFEST.read_text()))
    return found


def check(manifest: dict[str, Any]) -> None:
    pytest.importorskip("jsonschema").validate(manifest, yaml.safe_load(SCHEMA.read_text()))


def test_the_manifest_is_one_that_kuberay_takes(manifest: dict[str, Any]) -> None:
    check(manifest)


@pytest.mark.parametrize(
    ("place", "name", "value", "said"),
    [
        ((), "backofLimit", 3, "backofLimit"),
        ((), "backoffLimit", "3", "is not of type 'integer'"),
        ((), "submissionMode", "Http", "is not one of"),
        (("rayClusterSpec", "headGroupSpec"), "rayStartParams", {"num-cpus": 0}, "is not of type 'string'"),
        (("rayClusterSpec", "headGroupSpec"), "rayStartParams", None, "rayStartParams' is a required"),
        (("rayClusterSpec", "workerGroupSpecs", 0), "maxReplicas", None, "'maxReplicas' is a required"),
    ],
)  # fmt: skip
def test_what_kuberay_would_refuse_is_found(
    manifest: dict[str, Any], place: tuple[Any, ...], name: str, value: object, said: str
) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    inside = manifest["spec"]
    for step in place:
        inside = inside[step]
    inside.pop(name, None)
    inside.update({} if value is None else {name: value})
    with pytest.raises(jsonschema.ValidationError) as found:
        check(manifest)
    assert said in found.value.message


def test_its_secrets_are_named_and_its_runtime_environment_holds_none(manifest: dict[str, Any]) -> None:
    told = yaml.safe_load(manifest["spec"]["runtimeEnvYAML"])
    assert set(told) == {"env_vars"} and not any("KEY" in name for name in told["env_vars"])
