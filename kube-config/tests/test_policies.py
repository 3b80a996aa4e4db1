"""Checkov's policies for manifests, Dockerfiles and workflows."""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml
from gateway_testing.environments import programs
from machine import ROOT, output
from manifests import OVERLAYS, rendered

FOLDERS = ("gateway", "model", "model/server", "kube-config/overlays/openvino")
ALLOWED = {
    "CKV_DOCKER_7": "it takes a base image that is an argument for one without a tag",
    "CKV_K8S_15": "an image that is already there need not be pulled: no tag is used twice",
    "CKV_K8S_43": "images have no digest before they are pushed; the tag is a part of their ID",
}


@pytest.mark.skipif("POLICIES" not in os.environ, reason="POLICIES=1 is not set: it takes 10 s")
def test_policies_are_met(tmp_path: Path) -> None:
    for overlay in OVERLAYS:
        (tmp_path / f"{overlay}.yaml").write_text(yaml.safe_dump_all(rendered(overlay)))
    for folder in FOLDERS:
        (tmp_path / folder).mkdir(parents=True)
        shutil.copy(ROOT / folder / "Dockerfile", tmp_path / folder)
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    checkov = programs(Path(__file__).with_name("checkov.txt")) / "checkov"
    frameworks = ("kubernetes", "dockerfile", "github_actions")
    reports = json.loads(
        output(
            *(checkov, "--directory", tmp_path, "--framework", *frameworks),
            *("--skip-check", ",".join(ALLOWED), "--skip-download", "--quiet", "--compact"),
            *("--output", "json"),
        )
    )
    passed = {report["check_type"]: report["summary"]["passed"] for report in reports}
    assert set(passed) == set(frameworks)
    assert all(passed.values())
