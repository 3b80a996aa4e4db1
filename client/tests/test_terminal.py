"""The command in a real terminal."""

import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pexpect
import pytest
from sports.__main__ import INTERRUPTED, main
from stub_service import StubService

from gateway.version import VERSION

SECONDS = 120  # to wait for a process at most


@pytest.fixture
def folder(tmp_path: Path, jpeg: bytes) -> Path:
    for number in range(12):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg)
    return tmp_path


@contextmanager
def terminal(*arguments: object, **environ: str) -> Iterator["pexpect.spawn[str]"]:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "sports", *map(str, arguments)],
        env={**os.environ, "TERM": "xterm", **environ},
        encoding="utf-8",
        timeout=SECONDS,
        dimensions=(24, 200),
    )
    try:
        yield child
    finally:
        child.close(force=True)


def test_results_and_bar_stay_apart(folder: Path, stub: StubService) -> None:
    stub.refusals = [(415, {})]
    with terminal("predict", folder, "-j", 1, "--host", stub.host, NO_COLOR="1") as child:
        output = child.read()
    assert "12/12" in output
    lines = re.split(r"[\r\n]+", output)
    files = sorted(folder.iterdir())
    for path in files[1:]:
        assert f"{path}: tennis (100.0 %)" in lines
    assert f"sports: {files[0]}: Busy." in lines


def test_colours(folder: Path, stub: StubService) -> None:
    with terminal("predict", folder / "1.jpg", "--host", stub.host) as child:
        assert "\x1b[32mtennis\x1b[0m" in child.read()


def test_ctrl_c(folder: Path, stub: StubService) -> None:
    stub.hold_after = 2
    with terminal("predict", folder, "--host", stub.host) as child:
        assert stub.held.acquire(timeout=SECONDS)
        child.sendintr()
        child.expect("interrupted")
        child.expect(pexpect.EOF)
        child.wait()
        assert child.exitstatus == INTERRUPTED


def test_a_folder_is_watched(folder: Path, stub: StubService) -> None:
    with terminal("watch", folder, "--host", stub.host, NO_COLOR="1") as child:
        child.expect_exact("/9.jpg: tennis")
        (folder / "1.jpg").rename(folder / "later.jpg")
        child.expect_exact("/later.jpg: tennis")
        child.sendintr()
        child.expect(pexpect.EOF)


def test_completion(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--print-completion", "bash"])
    script = capsys.readouterr().out
    ask = "COMP_WORDS=(sports wa); COMP_CWORD=1; _shtab_sports; echo ${COMPREPLY[@]}"
    assert subprocess.check_output(["bash", "-c", script + ask], text=True) == "watch\n"


@pytest.mark.parametrize("installed", [True, False])
def test_version(
    installed: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not installed:  # as in `make run`
        not_found = importlib.metadata.PackageNotFoundError()
        monkeypatch.setattr(importlib.metadata, "version", Mock(side_effect=not_found))
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"sports {VERSION}\n"
