"""A job whose processes are killed, one after another: each row stands in the output once."""

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
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

PART = 4
# Rows that are served at once, after a process that computes was killed, and after the command was.
FIRST, SECOND, ROWS = 16, 28, 40
PATIENCE = 400.0  # seconds; for the models to be loaded on a busy machine
Times = dict[Path, int]  # when each of the output's files was written


class Source(ImageServer):
    """Serves 40 images, each of them once it is released."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._released = [threading.Event() for _ in range(ROWS)]
        self.list = folder / "urls.txt"
        self.list.write_text("".join(f"{self.url(f'/{row}.jpg')}\n" for row in range(ROWS)))
        for row in range(ROWS):
            self.routes[f"/{row}.jpg"] = partial(self._serve, row)

    @contextmanager
    def kept(self, path: str) -> Iterator[None]:
        """Answer a path only when the block ends."""
        ended = threading.Event()

        def wait(_: BaseHTTPRequestHandler) -> None:
            ended.wait(PATIENCE)

        self.routes[path] = wait
        try:
            yield
        finally:
            ended.set()

    def release(self, rows: int) -> None:
        for event in self._released[:rows]:
            event.set()

    def _serve(self, row: int, handler: BaseHTTPRequestHandler) -> None:
        self._released[row].wait(PATIENCE)
        answer(handler, SAMPLES[row % len(SAMPLES)].read_bytes())


@dataclass(frozen=True)
class Story:
    """What the files were when the command was killed, and after each of two further starts."""

    output: Path
    killed: Times
    resumed: Times
    repeated: Times
    said: tuple[str, str]  # by the further starts


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    source = Source(tmp_path_factory.mktemp("source"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATEWAY_ALLOW_PRIVATE_SOURCES", "true")
        patch.setenv("GATEWAY_ALLOWED_PORTS", str(source.port))
        patch.setenv("GATEWAY_MAX_PER_SOURCE", str(ROWS))  # those that wait hold up nobody
        patch.setenv("GATEWAY_FETCH_TIMEOUT", str(PATIENCE))
        patch.setenv("GATEWAY_REQUEST_TIMEOUT", str(2 * PATIENCE))
        yield source
    source.release(ROWS)
    source.stop()


@pytest.fixture(scope="module")
def story(ray_address: str, source: Source, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Starting Ray's processes and loading the model takes long: the tests share one job."""
    output = tmp_path_factory.mktemp("job") / "out"
    source.release(FIRST)
    with started(ray_address, source, output) as process:
        wait_for_rows(output, FIRST, process)
        os.kill(classifier(), signal.SIGKILL)
        source.release(SECOND)
        wait_for_rows(output, SECOND, process)
        process.kill()
    killed = times(output)
    assert not (output / "errors.parquet").exists()
    source.release(ROWS)
    first = start_again(source, output)
    resumed = times(output)
    (output / "summary.txt").unlink()
    second = start_again(source, output)
    return Story(output, killed, resumed, times(output), (first, second))


@contextmanager
def started(ray_address: str, source: Source, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "sports_bulk", str(source.list), str(output)]
    options = [f"--rows-per-file={PART}", "--workers=1", "--address", ray_address]
    with subprocess.Popen([*command, *options]) as process:
        try:
            yield process
        finally:
            process.kill()


def start_again(source: Source, output: Path) -> str:
    """Start the command in this process; returns what it said."""
    with redirect_stderr(io.StringIO()) as said:
        main([str(source.list), str(output), "--workers=1"])
    return said.getvalue()


def wait_for_rows(output: Path, rows: int, process: "subprocess.Popen[bytes]") -> None:
    wait_for(lambda: len(times(output)) == rows // PART or process.poll() is not None, PATIENCE)
    assert process.poll() is None


def times(output: Path) -> Times:
    files = (output / "predictions").glob("part-*.parquet")
    return {file: file.stat().st_mtime_ns for file in files}


def classifier() -> int:
    """The process that computes."""
    [found] = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if "MapBatches(Classifier)" in " ".join(process.info["cmdline"] or ())
    ]
    return found


def test_job_survives_the_end_of_a_process_that_computes(story: Story) -> None:
    assert len(story.killed) == SECOND // PART


def test_job_goes_on_after_its_driver_was_killed(story: Story) -> None:
    assert f"{ROWS - SECOND} to do" in story.said[0]
    assert {file: story.resumed[file] for file in story.killed} == story.killed


def test_each_row_stands_in_the_output_once(story: Story) -> None:
    rows = predictions(story.output)
    assert [row["row"] for row in rows] == list(range(ROWS))
    assert all(row["label"] for row in rows)


def test_job_that_is_done_does_nothing_more(story: Story) -> None:
    assert f"{ROWS} images, 0 to do" in story.said[1]
    assert story.repeated == story.resumed
    assert (story.output / "summary.txt").exists()


def test_job_in_which_nothing_happens_gives_up(
    ray_address: str, source: Source, tmp_path: Path
) -> None:
    source.list.with_name("none.txt").write_text(source.url("/never.jpg"))
    command = [sys.executable, "-m", "sports_bulk", str(source.list.with_name("none.txt"))]
    options = [str(tmp_path / "out"), "--address", ray_address]
    limit = {"RAY_DATA_EXECUTION_NO_PROGRESS_TIMEOUT_S": "1"}
    with source.kept("/never.jpg"):
        ended = subprocess.run(
            [*command, *options], env=os.environ | limit, stderr=subprocess.PIPE, text=True
        )
    assert ended.returncode == 3
    assert "no progress" in ended.stderr
    assert "Start it again to go on." in ended.stderr
