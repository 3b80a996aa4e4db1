"""Run bulk jobs as commands, and see how fast they are, how much memory they take, and what
is done twice when they are killed."""

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from image_source import ImageSource
from processes import memory
from services import ROOT, python

PART = 64  # rows for each file, as is the default
DEAD_PORT = 9  # where nobody answers
# The middle of a job: neither its start, nor its end, when some processes have no work left.
MIDDLE = slice(0.2, 0.9)
PAUSE = 0.5  # seconds between two looks at a job
LOG = Path(tempfile.gettempdir()) / "sports-bench-bulk.log"  # of the last job
COUNT_ROWS = """
import sys
from pathlib import Path
from pyarrow import dataset, parquet
output = Path(sys.argv[1])
sources = dataset.dataset(output / "predictions").to_table(["source"])["source"].to_pylist()
errors = output / "errors.parquet"  # multiprocessing writes none
failed = parquet.read_metadata(errors).num_rows if errors.exists() else 0
print(len(sources), len(set(sources)), failed)
"""


@dataclass(frozen=True)
class Job:
    """A job that has ended.

    Attributes:
        rate: rows a second from the command's start to its end.
        steady: rows a second in the middle.
        peak: the most bytes that its processes took, shared pages counted once (PSS).
    """

    rate: float
    steady: float
    peak: float


def bulk(source: Path, output: Path, *options: str) -> tuple[str, ...]:
    """The command of a job."""
    arguments = (str(source), str(output), "--precision=int8", f"--rows-per-file={PART}")
    return (python("bulk"), "-m", "sports_bulk", *arguments, *options)


def plain(source: Path, output: Path) -> tuple[str, ...]:
    """The same with multiprocessing alone."""
    return (python("bulk"), str(ROOT / "bench/bulk_plain.py"), str(source), str(output))


def environment(source: ImageSource) -> dict[str, str]:
    return {
        **os.environ,
        "GATEWAY_ALLOW_PRIVATE_SOURCES": "true",
        "GATEWAY_ALLOWED_PORTS": f"{source.port},{DEAD_PORT}",
        "GATEWAY_MAX_PER_SOURCE": "16",  # as many as multiprocessing has; all are of one address
    }


def run(
    command: Sequence[str], source: ImageSource, output: Path, rows: int, failed: int = 0
) -> Job:
    """Run a job to its end.

    Raises:
        RuntimeError: it failed, or rows are missing, or not as many failed as should.
    """
    began = time.perf_counter()
    with started(command, source) as process, watched(process.pid) as peaks:
        if process.wait():
            raise RuntimeError(f"{process.args!r} failed: see {LOG}")
    seconds = time.perf_counter() - began
    if (counts := count_rows(output)) != (rows, rows, failed):
        raise RuntimeError(f"{process.args!r}: rows, different ones, failed ones: {counts}")
    return Job(rows / seconds, steady_rate(output), max(peaks))


@contextlib.contextmanager
def started(command: Sequence[str], source: ImageSource) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(
        command,
        env=environment(source),
        stdout=subprocess.DEVNULL,
        stderr=LOG.open("wb"),
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def watched(pid: int) -> Iterator[list[float]]:
    """The bytes that a process and its children take, while the block runs."""
    seen, ended = [0.0], threading.Event()

    def look() -> None:
        while not ended.wait(PAUSE):
            with contextlib.suppress(psutil.Error):  # one ended meanwhile
                seen.append(memory(psutil.Process(pid)))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def files(output: Path) -> list[Path]:
    return list((output / "predictions").glob("part-*.parquet"))


def steady_rate(output: Path) -> float:
    """Rows a second, from the times at which the files in the middle were written."""
    times = np.sort([file.stat().st_mtime for file in files(output)])
    first, last = (round(len(times) * end) for end in (MIDDLE.start, MIDDLE.stop))
    slope, _ = np.polyfit(times[first:last] - times[first], np.arange(first, last), 1)
    return PART * float(slope)


def count_rows(output: Path) -> tuple[int, int, int]:
    """How many rows the output has, how many different ones, and how many that failed."""
    command = [python("bulk"), "-c", COUNT_ROWS, str(output)]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    rows, different, failed = map(int, found.stdout.split())
    return rows, different, failed


def wait_for_files(process: "subprocess.Popen[bytes]", output: Path, count: int) -> None:
    while len(files(output)) < count:
        if process.poll() is not None:
            raise RuntimeError("the job ended too soon")
        time.sleep(PAUSE / 10)


def kill_classifier(process: "subprocess.Popen[bytes]") -> None:
    """Kill one of the processes that compute."""
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "MapBatches(Classifier)" in " ".join(child.cmdline()):
                child.kill()
                return
    raise RuntimeError("nothing computes")


def kill_driver(process: "subprocess.Popen[bytes]") -> None:
    """Kill the command; Ray, which it started, ends by itself."""
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, left = psutil.wait_procs(children, timeout=60)
    if left:
        print(f"{len(left)} processes were left for 60 s: {[child.name() for child in left]}")
    for child in left:
        with contextlib.suppress(psutil.Error):
            child.kill()
