"""Jobs whose processes are killed: each row stands in the output exactly once."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed: make .venv/bulk/ready does it")

import psutil
from conftest import SAMPLES
from gateway_testing.image_server import ImageServer, answer
from gateway_testing.waiting import wait_for
from results import predictions

from sports_bulk.__main__ import main

ROWS, FREE, PART = 40, 16, 4
PATIENCE = 400.0  # seconds; for the models to be loaded on a busy machine


class Source(ImageServer):
    """Serves 40 images; the last 24 of them once they are released."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.released = threading.Event()
        self.list = folder / "urls.txt"
        self.list.write_text("".join(f"{self.url(f'/{row}.jpg')}\n" for row in range(ROWS)))
        for row in range(ROWS):
            self.routes[f"/{row}.jpg"] = partial(self._serve, row)

    def _serve(self, row: int, handler: BaseHTTPRequestHandler) -> None:
        if row >= FREE:
            self.released.wait(PATIENCE)
        answer(handler, SAMPLES[row % len(SAMPLES)].read_bytes())


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    source = Source(tmp_path)
    monkeypatch.setenv("GATEWAY_ALLOW_PRIVATE_SOURCES", "true")
    monkeypatch.setenv("GATEWAY_ALLOWED_PORTS", str(source.port))
    monkeypatch.setenv("GATEWAY_FETCH_TIMEOUT", str(PATIENCE))
    monkeypatch.setenv("GATEWAY_REQUEST_TIMEOUT", str(2 * PATIENCE))
    yield source
    source.released.set()
    source.stop()


@contextmanager
def half_done(ray_address: str, source: Source, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a process of its own, once it has done what it can."""
    command = [sys.executable, "-m", "sports_bulk", str(source.list), str(output)]
    options = [f"--rows-per-file={PART}", "--address", ray_address]
    with subprocess.Popen([*command, *options]) as process:
        try:
            wait_for(
                lambda: len(done(output)) == FREE // PART or process.poll() is not None, PATIENCE
            )
            yield process
        finally:
            process.kill()


def done(output: Path) -> list[Path]:
    return list((output / "predictions").glob("part-*.parquet"))


def classifiers() -> list[int]:
    """The processes that compute."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if "MapBatches(Classifier)" in " ".join(process.info["cmdline"] or ())
    ]


def test_job_goes_on_after_its_driver_was_killed(
    ray_address: str, source: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    with half_done(ray_address, source, output) as process:
        process.kill()
    before = {file: file.stat().st_mtime_ns for file in done(output)}
    assert len(before) == FREE // PART
    assert not (output / "errors.parquet").exists()
    source.released.set()

    main([str(source.list), str(output)])

    assert [row["row"] for row in predictions(output)] == list(range(ROWS))
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert f"{ROWS - FREE} to do" in capsys.readouterr().err


def test_job_survives_the_end_of_a_process_that_computes(
    ray_address: str, source: Source, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    with half_done(ray_address, source, output) as process:
        os.kill(classifiers()[0], signal.SIGKILL)
        source.released.set()
        assert process.wait(PATIENCE) == 0
    rows = predictions(output)
    assert [row["row"] for row in rows] == list(range(ROWS))
    assert all(row["label"] for row in rows)


@pytest.mark.usefixtures("ray_address")
def test_job_that_is_done_does_nothing_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(SAMPLES[0]), str(tmp_path / "out")]
    main(arguments)
    [file] = done(tmp_path / "out")
    before = file.stat().st_mtime_ns
    (tmp_path / "out/summary.txt").unlink()

    main(arguments)

    assert file.stat().st_mtime_ns == before
    assert "1 images, 0 to do" in capsys.readouterr().err
    assert (tmp_path / "out/summary.txt").exists()
