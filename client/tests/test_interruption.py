"""The command stopped in the middle, by Ctrl-C or by the reader of its output, and started again.

The stub service holds a request until the test says so, so the moment does not depend on time.
"""

import csv
import json
import signal
import subprocess
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sports import interruption
from sports.__main__ import ALL_CLASSIFIED, INTERRUPTED
from sports.sources import watch_folder
from stub_service import StubService, run

IMAGES, ANSWERED, JOBS = 30, 12, 4
SECONDS = 120  # to wait for a process at most


class Finalized:
    """Something that ends while Ctrl-C comes."""


@pytest.fixture
def folder(tmp_path: Path, jpeg: bytes) -> Path:
    folder = tmp_path / "images"
    for number in range(IMAGES):
        path = folder / str(number % 3) / f"{number}.JPG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg)
    (folder / "notes.txt").write_text("not an image")
    return folder


def test_ctrl_c_in_a_finalizer_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python ignores exceptions there, so that the command would watch on for ever."""
    ignored: list[Any] = []
    monkeypatch.setattr(interruption, "_interrupted", threading.Event())
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    interruption.prepare()
    finalized = Finalized()
    reference = weakref.ref(finalized, lambda _: signal.raise_signal(signal.SIGINT))
    del finalized
    assert reference() is None
    assert ignored[0].exc_type is KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        next(watch_folder(tmp_path, set()))


@contextmanager
def sports(*arguments: object) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "sports", "predict", *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def sources(output: Path, style: str) -> list[str]:
    with output.open(newline="") as file:
        if style == "--json":
            return [json.loads(line)["source"] for line in file]
        return [row["source"] for row in csv.DictReader(file)]


@pytest.mark.parametrize("style", ["--json", "--csv"])
def test_a_folder_is_interrupted_and_resumed(folder: Path, stub: StubService, style: str) -> None:
    output = folder.with_name("results")
    arguments = [folder, style, "--output", output, "--host", stub.host]
    stub.hold_after = ANSWERED
    with sports(*arguments) as process:
        for _ in range(JOBS):
            assert stub.held.acquire(timeout=SECONDS)
        process.send_signal(signal.SIGINT)
        assert "interrupted" in process.communicate(timeout=SECONDS)[1]
        assert process.returncode == INTERRUPTED
    assert ANSWERED - JOBS < len(sources(output, style)) <= ANSWERED  # of JOBS at once
    with output.open("ab") as file:
        file.write(b'{"source": "half a li')  # as a power cut leaves it
    stub.hold_after = None
    assert run(*arguments) == ALL_CLASSIFIED
    assert Counter(sources(output, style)) == {str(path): 1 for path in folder.rglob("*.JPG")}
    requests = stub.requests
    assert run(*arguments) == ALL_CLASSIFIED
    assert stub.requests == requests


def test_a_reader_that_closes_the_output_ends_the_command(folder: Path, stub: StubService) -> None:
    stub.hold_after = 1
    with sports(folder, "--jobs", 1, "--host", stub.host) as process:
        assert process.stdout
        assert process.stdout.readline().endswith("tennis (100.0 %)\n")
        assert stub.held.acquire(timeout=SECONDS)
        process.stdout.close()
        stub.release.set()
        assert process.wait(SECONDS) == 0
        assert process.stderr
        assert not process.stderr.read()
