"""A TypeScript client whose types openapi-typescript generates from the API's description."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import requests
from gateway_testing.fake_serving import FakeServing
from gateway_testing.service import gateway

PROGRAM = Path(__file__).parents[1] / "typescript"
SHUT_OFF = re.compile("ENOTFOUND|EAI_AGAIN|ECONN|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|FETCH_ERROR")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The program with what it is compiled with."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    folder = tmp_path / "typescript"
    shutil.copytree(PROGRAM, folder)
    install = "npm ci --prefer-offline --fetch-retries=0"
    ended = subprocess.run(install.split(), cwd=folder, capture_output=True, text=True, timeout=120)
    if ended.returncode and SHUT_OFF.search(ended.stderr):
        pytest.skip("npm's registry cannot be reached")
    assert ended.returncode == 0, ended.stderr
    return folder


def test_a_generated_client_works_and_its_types_are_right(
    folder: Path, serving: FakeServing
) -> None:
    def run(*command: str) -> None:
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stdout + ended.stderr

    with gateway(serving.host) as service:
        description = requests.get(f"{service.url}/openapi.json", timeout=60)
        (folder / "api.json").write_bytes(description.content)
        run("node_modules/.bin/openapi-typescript", "api.json", "--output", "api.ts")
        run("node_modules/.bin/tsc")
        run("node", "compiled/program.js", service.url)
