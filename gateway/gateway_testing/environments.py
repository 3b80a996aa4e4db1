"""Programs from wheels that the tests' own environment cannot or need not hold."""

import subprocess
import sys
from pathlib import Path

import pytest

VENV = Path(__file__).resolve().parents[2] / ".venv"


def programs(requirements: Path, python: str = sys.executable) -> Path:
    """The folder of the programs in an environment with what a NAME.txt lists.

    It is made when it is first needed, and again when the list has changed; the test is skipped
    where that fails.
    """
    folder = VENV / f"test-{requirements.stem}"
    installed, listed = folder / "installed", requirements.read_text()
    if not installed.exists() or installed.read_text() != listed:
        uv = str(VENV / "uv/bin/uv")
        install = ["pip", "install", "-q", "-p", str(folder / "bin/python")]
        try:
            subprocess.run([uv, "venv", "-q", "--clear", "-p", python, str(folder)], check=True)
            subprocess.run([uv, *install, "-r", str(requirements)], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"{requirements.name} cannot be installed here: {error}")
        installed.write_text(listed)
    return folder / "bin"
