"""The lock files: what they install, on which platforms, and without which holes."""

import runpy
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The locks of the environment of `make run`.
RUN = [ROOT / folder / "requirements.lock" for folder in ("gateway", "client", "model/server")]
PLATFORMS = [
    *("x86_64-manylinux_2_35", "aarch64-manylinux_2_35"),
    *("aarch64-apple-darwin", "x86_64-pc-windows-msvc"),
]
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
AUDIT = runpy.run_path(str(ROOT / ".ci/audit.py"))


@pytest.fixture(scope="module")
def uv() -> str:
    found = shutil.which("uv", path=str(ROOT / ".venv/uv/bin")) or shutil.which("uv")
    if not found:
        pytest.skip("needs uv")
    return found


def resolve(uv: str, platform: str, python: str) -> str:
    """What keeps these locks from being installed from wheels alone; nothing: an empty text."""
    options = ["--quiet", "--only-binary", ":all:", "--python", sys.executable]
    target = ["--python-platform", platform, "--python-version", python]
    command = [uv, "pip", "compile", *options, *target, *map(str, RUN)]
    run = subprocess.run(command, capture_output=True, text=True)
    return "" if run.returncode == 0 else f"{platform}, Python {python}: {run.stderr}"


def test_make_run_needs_no_compiler_on_any_platform(uv: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        failures = list(pool.map(lambda target: resolve(uv, *target), product(PLATFORMS, PYTHONS)))
    found = "".join(failures)
    if "error sending request" in found or "Failed to fetch" in found:
        pytest.skip(f"the package index is not reachable: {found.splitlines()[-1]}")
    assert found == ""


def test_the_environment_of_make_run_has_one_version_of_each_package() -> None:
    versions: dict[str, set[frozenset[str]]] = {}
    for lock in RUN:
        pins = AUDIT["pins"](lock.read_text())
        for name in {name for name, _ in pins}:
            same = frozenset(version for other, version in pins if other == name)
            versions.setdefault(name, set()).add(same)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("lock", AUDIT["LOCKS"])
def test_no_lock_has_what_is_known_to_be_vulnerable(lock: str) -> None:
    pins = AUDIT["pins"]((ROOT / lock).read_text())
    assert pins
    assert list(AUDIT["too_old"](pins)) == []


def test_the_audit_looks_at_what_other_machines_install() -> None:
    lock = """\
pillow==12.2.0 ; python_full_version < '3.2' \\
    --hash=sha256:00
    # via client/pyproject.toml
pillow==13.0.0 ; python_full_version >= '3.2' \\
    --hash=sha256:01
"""
    pins = AUDIT["pins"](lock)
    assert pins == [("pillow", "12.2.0"), ("pillow", "13.0.0")]
    (((_, version), flaw),) = AUDIT["too_old"](pins)
    assert version == "12.2.0"
    assert "CVE-2026-112403" in flaw
