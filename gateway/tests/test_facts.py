"""Facts that are defined once in the code, wherever else they are repeated."""

import importlib.metadata
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import run_local
from flask.testing import FlaskClient
from PIL import Image

from gateway.fetcher import HEADERS
from gateway.images import FORMAT_NAMES, FORMATS
from gateway.signatures import IN_DOMAIN_BOUNDARY
from gateway.site import OPENAPI, PAGE
from gateway.version import VERSION

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs/api.md").read_text()
MODEL_CARD = (ROOT / "model/README.md").read_text()
LISTED = re.compile(r"JPEG(?:, \w+)+ or \w+")


@pytest.fixture
def document(client: FlaskClient) -> Any:
    return client.get("/openapi.json").json


def test_the_formats_names_are_those_of_the_formats() -> None:
    names = re.split(", | or ", FORMAT_NAMES)
    assert tuple(name.upper() for name in names) == FORMATS


@pytest.mark.parametrize(
    "file", [ROOT / "docs/api.md", OPENAPI, PAGE / "problems.js"], ids=lambda file: file.name
)
def test_the_formats_are_listed_alike(file: Path) -> None:
    lists = LISTED.findall(file.read_text())
    assert lists
    assert set(lists) == {FORMAT_NAMES}


def test_the_page_lets_one_choose_files_of_the_formats() -> None:
    [accepted] = re.findall(r'accept="(image/jpeg[^"]+)"', (PAGE / "index.html").read_text())
    Image.init()
    assert set(accepted.split(",")) == {Image.MIME[name] for name in FORMATS}


def test_the_error_and_its_example_list_the_formats(client: FlaskClient, document: Any) -> None:
    response = client.post("/predict", data=b"no image", content_type="image/jpeg")
    assert response.json is not None
    detail = response.json["detail"]
    assert FORMAT_NAMES in detail
    assert detail in str(document["components"]["responses"])


def test_the_boundary_of_known_is_documented(document: Any) -> None:
    boundary = f"{IN_DOMAIN_BOUNDARY:g}"
    assert f"`in_domain` below {boundary})" in API
    assert f"`in_domain` of {boundary} or more" in MODEL_CARD
    in_domain = document["components"]["schemas"]["Prediction"]["properties"]["in_domain"]
    assert f"from {boundary} on" in in_domain["description"]


def test_the_version_is_the_same_everywhere(document: Any) -> None:
    assert document["info"]["version"] == VERSION
    assert HEADERS["User-Agent"].startswith(f"sports-gateway/{VERSION} ")
    assert f"## {VERSION} " in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(
    "package", ["sports-gateway", "sports", "sports-model-server", "sports-trainer"]
)
def test_every_package_has_the_version(package: str) -> None:
    try:
        installed = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed here")
    assert installed == VERSION


@pytest.mark.parametrize("folder", ["gateway", "client", "model/server", "trainer"])
def test_every_package_reads_the_version_from_the_gateway(folder: str) -> None:
    project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    path = (ROOT / folder / project["tool"]["hatch"]["version"]["path"]).resolve()
    assert path == ROOT / "gateway/gateway/version.py"


def test_containers_and_make_run_set_glibc_alike() -> None:
    dockerfile = (ROOT / "gateway/Dockerfile").read_text()
    found = dict(re.findall(r"\b(MALLOC_\w+)=(\d+)", dockerfile))
    assert found == run_local.GLIBC
