"""README and docstrings say what the code does."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import run_local
from gateway_testing.fake_serving import FakeServing
from gateway_testing.service import Service, gateway

from gateway import errors
from gateway.config import Settings
from gateway.errors import GatewayError

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()


def kinds(parent: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    yield parent
    for kind in parent.__subclasses__():
        yield from kinds(kind)


@pytest.mark.parametrize("kind", list(kinds()))
def test_every_error_is_in_the_tree_and_in_the_table(kind: type[GatewayError]) -> None:
    assert re.search(rf"\b{kind.__name__} +{kind.status}\b", errors.__doc__ or "")
    assert f"| {kind.status} | {kind.title} |" in README
    assert f"| {kind.title} |" in OPERATIONS


def shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_every_setting_is_in_the_table_with_its_default(field) -> None:
    default = shown(field.default)
    cell = f"`{default}`" if default else ""
    assert f"| `{Settings.variables()[field.name]}` | {cell}".rstrip() in README


NEEDS = re.compile(r"# needs (Docker|a folder|a model)")
MADE_BY_OTHERS = {"make run", "make test"}  # test_run_local.py does the first; you read the second


def commands() -> Iterator[str]:
    """The README's commands, less those that say what they need."""
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL):
        if not NEEDS.match(block):
            for line in block.replace("\\\n", "").splitlines():
                command = line.partition("  #")[0].strip()
                if command and not command.startswith("#"):
                    yield command


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    serving = FakeServing()
    with gateway(serving.host) as service:
        yield service
    serving.stop()


@pytest.mark.parametrize("command", [c for c in commands() if c not in MADE_BY_OTHERS])
def test_every_command_works(command: str, service: Service, tmp_path: Path) -> None:
    here = command.replace("localhost:9696", f"localhost:{service.port}")
    for part in ("dataset/", "gateway/predict_test", "./predict_test"):
        here = here.replace(part, f"{ROOT}/{part}")
    programs = Path(run_local.tool("gateway", "sports")).parent
    here = here.replace(".venv/gateway/bin", str(programs))
    environ = {**os.environ, "SPORTS_HOST": f"localhost:{service.port}"}
    run = subprocess.run(
        ["bash", "-ec", here], cwd=tmp_path, env=environ, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    if "example.com" in command:
        assert "Source" in run.stdout  # nobody serves a picture there
    elif "output" in command or "explain" in command:
        assert list(tmp_path.iterdir())
    else:
        assert "cricket" in run.stdout  # whatever the picture, says the stand-in of a model


def test_the_make_targets_exist() -> None:
    for command in MADE_BY_OTHERS:
        assert command in set(commands())
        subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("file", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/*.md")))
def test_links_lead_somewhere(file: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", file.read_text()):
        assert "://" in target or (file.parent / target).exists(), target
