"""The documents agree with the code."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import Field, fields
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
ERRORS = (ROOT / "docs/errors.md").read_text()
SETTINGS = (ROOT / "docs/settings.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()


def error_classes(parent: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    yield parent
    for child in parent.__subclasses__():
        yield from error_classes(child)


@pytest.mark.parametrize("error", list(error_classes()))
def test_every_error_is_in_the_tree_and_in_the_tables(error: type[GatewayError]) -> None:
    assert re.search(rf"\b{error.__name__} +{error.status}\b", errors.__doc__ or "")
    assert f"| {error.status} | {error.title} |" in ERRORS
    assert f"| {error.title} |" in OPERATIONS


def written(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_every_setting_is_in_the_table_with_its_default(field: Field[object]) -> None:
    default = written(field.default)
    cell = f"`{default}`" if default else ""
    assert f"| `{Settings.variables()[field.name]}` | {cell}".rstrip() in SETTINGS


NEEDS = re.compile(r"# needs (Docker|a folder|a model)")
OTHERS = {"make run"}  # test_run_local.py does it


def commands() -> Iterator[str]:
    """The README's commands, except those that say what they need."""
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


def local(text: str, service: Service) -> str:
    """A part of the README, for this machine's service and folders."""
    programs = Path(run_local.tool("run", "sports")).parent
    text = text.replace("localhost:9696", f"localhost:{service.port}")
    return text.replace("dataset/", f"{ROOT}/dataset/").replace(".venv/run/bin", str(programs))


@pytest.mark.parametrize("command", [c for c in commands() if c not in OTHERS])
def test_every_command_works(command: str, service: Service, tmp_path: Path) -> None:
    environ = {**os.environ, "SPORTS_HOST": f"localhost:{service.port}"}
    run = subprocess.run(
        ["bash", "-ec", local(command, service)],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    if "example.com" in command:
        assert "Source" in run.stdout  # there is no such image
    elif "output" in command or "explain" in command:
        assert list(tmp_path.iterdir())
    else:
        assert "cricket" in run.stdout  # the fake model server's answer to every image


def test_the_python_example_works(service: Service, capfd: pytest.CaptureFixture[str]) -> None:
    [example] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    subprocess.run([sys.executable, "-c", local(example, service)], check=True)
    assert capfd.readouterr().out.startswith("cricket 0.8")


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:`|^)make (\w+)", README, re.M))))
def test_the_make_targets_exist(target: str) -> None:
    subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("file", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/*.md")))
def test_links_lead_to_files(file: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", file.read_text()):
        assert "://" in target or (file.parent / target).exists(), target


@pytest.mark.parametrize("file", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/*.md")))
def test_the_tests_that_a_document_names_exist(file: Path) -> None:
    for name in re.findall(r"[\w/.-]*\btest_\w+\.py(?:::test_\w+)?", file.read_text()):
        path, _, function = name.partition("::")
        found = [*ROOT.glob(path), *ROOT.glob(f"*/tests/{path}"), *ROOT.glob(f"*/{path}")]
        assert found, name
        assert f"def {function}(" in found[0].read_text() or not function, name
