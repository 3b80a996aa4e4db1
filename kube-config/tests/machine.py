"""What the tests need from this machine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sports-service"


def need(*tools: str) -> None:
    """Skip the test if a tool is missing."""
    for tool in tools:
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")


def kubectl() -> str:
    """The kubectl of the Python environment, else the one on the PATH."""
    own = Path(sys.executable).with_name("kubectl")
    if not own.exists():
        need("kubectl")
    return str(own if own.exists() else shutil.which("kubectl"))


def need_root() -> None:
    """Skip the test unless this process may mount and make network namespaces."""
    need("unshare")
    tried = subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"this user may not make namespaces here: {tried.stderr.strip()}")


def output(*command: object, **options: Any) -> str:
    """What a command prints; the test fails with both its streams when the command fails."""
    result = subprocess.run(
        [str(argument) for argument in command], capture_output=True, text=True, **options
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
    return str(result.stdout)
