"""What a test needs of this machine."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KUBECTL_MINOR = 30
NOTES: list[str] = []
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sports-service"


def need(*tools: str) -> None:
    """Skip the test, and say why, when a tool is missing."""
    for tool in tools:
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")


def need_kubectl() -> None:
    need("kubectl")
    version = json.loads(output("kubectl", "version", "--client", "--output=json"))
    minor = int(re.match(r"\d+", version["clientVersion"]["minor"]).group())
    if minor < KUBECTL_MINOR:
        pytest.skip(f"kubectl is of version 1.{minor}, 1.{KUBECTL_MINOR} or newer is needed")


def need_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may do this")


def need_mounts() -> None:
    """Skip where root is not allowed to mount or to make network namespaces, as in containers."""
    tried = subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"root may not do this here: {tried.stderr.strip()}")


def output(*command: object, **options: object) -> str:
    """What a command prints; the test fails with both its streams when the command does."""
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, **options
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
    return result.stdout


def note(text: str) -> None:
    """Say something measured below the tests' summary."""
    NOTES.append(text)
