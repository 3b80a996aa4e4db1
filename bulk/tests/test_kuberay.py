"""The RayJob for Kubernetes and its image."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

BULK = Path(__file__).resolve().parents[1]
VERSIONS = ("1.33", "1.37")  # of Kubernetes
# Those fields of RayJob in KubeRay 1.7 that are used here: each must have its type, and any other
# one is refused. Pods are checked against Kubernetes' own schemas.
GROUP: dict[str, Any] = {
    "rayStartParams": {"type": "object", "additionalProperties": {"type": "string"}},
    "template": {"type": "object"},
}
CLUSTER: dict[str, Any] = {
    "rayVersion": {"type": "string"},
    "enableInTreeAutoscaling": {"type": "boolean"},
    "autoscalerOptions": {
        "properties": {"idleTimeoutSeconds": {"type": "integer"}},
        "additionalProperties": False,
    },
    "headGroupSpec": {
        "properties": GROUP,
        "required": ["template"],
        "additionalProperties": False,
    },
    "workerGroupSpecs": {
        "type": "array",
        "items": {
            "properties": GROUP
            | {"groupName": {"type": "string"}}
            | {name: {"type": "integer", "minimum": 0} for name in ("minReplicas", "maxReplicas")},
            "required": ["groupName", "maxReplicas", "minReplicas", "template"],
            "additionalProperties": False,
        },
    },
}
RAY_JOB_SPEC: dict[str, Any] = {
    "properties": {
        "entrypoint": {"type": "string"},
        "backoffLimit": {"type": "integer"},
        "shutdownAfterJobFinishes": {"type": "boolean"},
        "ttlSecondsAfterFinished": {"type": "integer"},
        "rayClusterSpec": {
            "properties": CLUSTER,
            "required": ["headGroupSpec"],
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((BULK / "kuberay.yaml").read_text())
    assert (document["apiVersion"], document["kind"]) == ("ray.io/v1", "RayJob")
    return document


def groups(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def test_job_has_fields_that_kuberay_knows(job: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(RAY_JOB_SPEC).validate(job["spec"])


@pytest.mark.parametrize("version", VERSIONS)
def test_pods_match_their_schema(job: dict[str, Any], version: str) -> None:
    for group in groups(job):
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "template": group["template"]}
        kubernetes_validate.validate(pod | {"metadata": {"name": "ray"}}, version, strict=True)


def test_versions_of_ray_are_those_of_the_lock(job: dict[str, Any]) -> None:
    locked = re.search(r"^ray==(\S+)", (BULK / "requirements.lock").read_text(), re.MULTILINE)
    assert locked
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == locked[1]
    assert f"rayproject/ray:{locked[1]}-" in (BULK / "Dockerfile").read_text()


def test_workers_are_as_many_as_processors(job: dict[str, Any]) -> None:
    _, spot = groups(job)
    [container] = spot["template"]["spec"]["containers"]
    processors = spot["maxReplicas"] * int(container["resources"]["limits"]["cpu"])
    assert f"--workers {processors} " in job["spec"]["entrypoint"]


def test_ignore_file_lets_in_what_is_copied() -> None:
    copied = re.findall(r"^COPY (\S+) ", (BULK / "Dockerfile").read_text(), re.MULTILINE)
    admitted = re.findall(r"^!(\S+)", (BULK / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    assert sorted(copied) == sorted(admitted)
    assert all((BULK.parent / path).exists() for path in copied)
