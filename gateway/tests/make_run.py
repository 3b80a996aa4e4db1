"""`make run` as a process of its own, as a user sees it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests
import run_local

SCRIPT = Path(run_local.__file__)
SECONDS = 150  # until a run that hangs is killed


class Run:
    """`make run` in a process of its own; `lines` holds what it has printed."""

    def __init__(self, *command: str, **variables: str) -> None:
        self.port = variables["PORT"]
        self.url = f"http://localhost:{self.port}"
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, *(command or [str(SCRIPT)])],
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._timer = threading.Timer(SECONDS, self._end)

    def __enter__(self) -> "Run":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._end()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()
        for log in run_local.LOGS.glob(f"*-{self.port}.log"):
            log.unlink()

    def _end(self) -> None:
        """Kill the script and whatever it has started."""
        if self.process.poll() is None:
            for pid in (self.process.pid, *descendants(self.process.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def wait_for(self, text: str) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return
        pytest.fail("".join(self.lines))

    def finish(self) -> str:
        """All that it prints until it ends by itself."""
        assert self.process.stdout
        self.lines += self.process.stdout
        self.process.wait()
        output = "".join(self.lines)
        assert self.process.returncode != -signal.SIGKILL, output
        return output


def processes() -> dict[int, int]:
    """Each process and its parent."""
    command = ["ps", "-e", "-o", "pid=,ppid="]
    rows = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {int(pid): int(parent) for pid, parent in map(str.split, rows.splitlines())}


def descendants(pid: int) -> set[int]:
    parents, found = processes(), {pid}
    while more := {p for p, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def answers(url: str) -> bool:
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(url, timeout=60).ok
    return False
