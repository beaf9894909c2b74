"""The manifest in the docs, against what KubeRay's custom resource takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

MANIFEST = Path(__file__).resolve().parents[2] / "docs" / "kuberay.yaml"


def fields(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required or [],
        "properties": properties,
    }


TEXT, COUNT, SWITCH = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
SECRET = fields(["secretKeyRef"], secretKeyRef=fields(["key"], name=TEXT, key=TEXT))
CONTAINER = fields(
    ["name", "image"],
    name=TEXT,
    image=TEXT,
    env={"type": "array", "items": fields(["name"], name=TEXT, value=TEXT, valueFrom=SECRET)},
    ports={"type": "array", "items": fields(["containerPort"], containerPort=COUNT, name=TEXT)},
    resources=fields(limits=TEXTS, requests=TEXTS),
)
PODS = fields(["spec"], spec=fields(["containers"], containers={"type": "array", "items": CONTAINER}))
# Of ray.io/v1's RayJob, the fields that a manifest of ours may use, with the types of its published schema.
RAY_JOB = fields(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=fields(["name"], name=TEXT, namespace=TEXT, labels=TEXTS),
    spec=fields(
        entrypoint=TEXT,
        entrypointNumCpus={"type": "number"},
        entrypointNumGpus={"type": "number"},
        entrypointResources=TEXT,
        backoffLimit=COUNT,
        activeDeadlineSeconds=COUNT,
        shutdownAfterJobFinishes=SWITCH,
        ttlSecondsAfterFinished=COUNT,
        runtimeEnvYAML=TEXT,
        submissionMode=TEXT,
        rayClusterSpec=fields(
            ["headGroupSpec"],
            rayVersion=TEXT,
            headGroupSpec=fields(["template"], rayStartParams=TEXTS, serviceType=TEXT, template=PODS),
            workerGroupSpecs={
                "type": "array",
                "items": fields(
                    ["groupName", "maxReplicas", "minReplicas", "template"],
                    groupName=TEXT,
                    replicas=COUNT,
                    minReplicas=COUNT,
                    maxReplicas=COUNT,
                    rayStartParams=TEXTS,
                    template=PODS,
                ),
            },
        ),
    ),
)


@pytest.fixture
def manifest() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(MANIFEST.read_text())
    return found


def test_the_manifest_has_the_fields_that_kuberay_knows(manifest: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(manifest, RAY_JOB)


def test_a_field_that_kuberay_does_not_know_would_be_found(manifest: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    manifest["spec"]["backofLimit"] = manifest["spec"].pop("backoffLimit")
    with pytest.raises(jsonschema.ValidationError, match="backofLimit"):
        jsonschema.validate(manifest, RAY_JOB)


def test_its_secrets_are_named_and_its_runtime_environment_holds_none(manifest: dict[str, Any]) -> None:
    told = yaml.safe_load(manifest["spec"]["runtimeEnvYAML"])
    assert set(told) == {"env_vars"} and not any("KEY" in name for name in told["env_vars"])
