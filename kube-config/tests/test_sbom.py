"""The bills of materials that `make sbom` writes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from machine import ROOT

NAMES = ("sports-gateway", "sports-model-server", "sports-model", "sports-run")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sbom")
    write(folder)
    return folder


def write(folder: Path) -> None:
    subprocess.run([sys.executable, ROOT / ".ci/sbom.py", folder], check=True, cwd=ROOT)


def components(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    document = json.loads((folder / f"{name}.cdx.json").read_text())
    return {component["name"]: component for component in document["components"]}


@pytest.mark.parametrize("name", NAMES)
def test_each_is_valid_and_belongs_to_the_release(folder: Path, name: str) -> None:
    text = (folder / f"{name}.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    root = json.loads(text)["metadata"]["component"]
    assert root["name"] == name
    assert root["version"].count(".") == 2


def test_the_same_locks_give_the_same_files(folder: Path, tmp_path: Path) -> None:
    write(tmp_path)
    for name in NAMES:
        file = f"{name}.cdx.json"
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes()


def test_a_package_is_named_with_its_hashes(folder: Path) -> None:
    pillow = components(folder, "sports-gateway")["pillow"]
    assert pillow["purl"] == f"pkg:pypi/pillow@{pillow['version']}"
    lock = (ROOT / "gateway/requirements.lock").read_text()
    assert pillow["hashes"]
    assert all(f"sha256:{digest['content']}" in lock for digest in pillow["hashes"])


def test_a_package_for_another_python_is_left_out_of_an_image(folder: Path) -> None:
    lock = (ROOT / "gateway/requirements.lock").read_text()
    assert "async-timeout" in lock  # for Python below 3.11.3
    assert "async-timeout" not in components(folder, "sports-gateway")
    assert "async-timeout" in components(folder, "sports-run")


@pytest.mark.parametrize(
    ("name", "base"), [("sports-gateway", "python"), ("sports-model", "tensorflow/serving")]
)
def test_an_image_names_its_base(folder: Path, name: str, base: str) -> None:
    assert components(folder, name)[base]["type"] == "container"


def test_the_model_is_listed_by_its_files(folder: Path) -> None:
    names = {Path(name).name for name in components(folder, "sports-model")}
    assert {"saved_model.pb", "model.xml"} <= names


def test_every_published_image_has_one() -> None:
    release = yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text())
    published = release["jobs"]["images"]["strategy"]["matrix"]["include"]
    assert {each["image"] for each in published} < set(NAMES)
