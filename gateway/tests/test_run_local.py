"""`make run`, as a user sees it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests
import run_local
from gateway_testing.fake_serving import FakeServing
from gateway_testing.ports import free_port
from gateway_testing.waiting import wait_for

SCRIPT = Path(run_local.__file__)
SECONDS = 150  # until a run that hangs is killed

pytestmark = pytest.mark.timeout(2 * SECONDS)


class Run:
    """`make run` in a process of its own; `lines` holds what it has printed."""

    def __init__(self, *command: str, **variables: str) -> None:
        self.url = f"http://localhost:{variables['PORT']}"
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


@pytest.fixture
def port() -> str:
    return str(free_port())


@pytest.mark.skipif(find_spec("model_server") is None, reason="needs the embedded model server")
def test_it_answers_serves_and_leaves_nothing_behind(port: str) -> None:
    folder = str(Path(__file__).parent / "models/sports")
    with Run(PORT=port, MODEL_BASE_PATH=folder, MODEL_NAME="other") as run:
        run.wait_for("Ctrl-C stops")
        assert 'soccer.jpg shows: "' in "".join(run.lines)
        assert requests.get(f"{run.url}/ping", timeout=60).text == "pong"
        started = descendants(run.process.pid)
        assert len(started) >= 4  # the model server, gunicorn, two workers
        run.process.send_signal(signal.SIGINT)
        assert "Traceback" not in run.finish()
        assert run.process.returncode == 0
    assert not started & set(processes())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_stop_the_gateway_of_a_running_model_server(
    serving: FakeServing, port: str, number: signal.Signals
) -> None:
    with Run(PORT=port, TF_SERVING_HOST=serving.host, WEB_CONCURRENCY="1") as run:
        run.wait_for("Ctrl-C stops")
        started = descendants(run.process.pid)
        assert len(started) == 2  # gunicorn and its worker
        run.process.send_signal(number)
        assert "Traceback" not in run.finish()
        assert run.process.returncode == 0
    assert not started & set(processes())


def test_a_background_job_is_stopped_by_ctrl_c(serving: FakeServing, port: str) -> None:
    """A shell starts background jobs with SIGINT ignored."""
    code = f"""
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.execv({sys.executable!r}, [{sys.executable!r}, {str(SCRIPT)!r}])
"""
    with Run("-c", code, PORT=port, TF_SERVING_HOST=serving.host, WEB_CONCURRENCY="1") as run:
        run.wait_for("Ctrl-C stops")
        run.process.send_signal(signal.SIGINT)
        run.finish()
        assert run.process.returncode == 0


def test_a_signal_during_the_start_stops_it(port: str) -> None:
    """The model server never answers, so that it waits for it when the signal comes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        with Run(PORT=port, TF_SERVING_HOST=host, WEB_CONCURRENCY="1") as run:
            run.wait_for("Listening at")
            wait_for(lambda: answers(f"{run.url}/healthz"))
            started = descendants(run.process.pid)
            run.process.send_signal(signal.SIGINT)
            assert "Traceback" not in run.finish()
            assert run.process.returncode == 0
    assert not started & set(processes())


def test_a_port_in_use_is_reported() -> None:
    with socket.create_server(("", 0)) as listener:
        port = str(listener.getsockname()[1])
        with Run(PORT=port) as run:
            assert "is in use. Choose another: make run PORT=" in run.finish()
            assert run.process.returncode == 1


@pytest.mark.parametrize("port", ["http", "0", "70000"])
def test_an_invalid_port_is_reported(port: str) -> None:
    with Run(PORT=port) as run:
        assert "is not a port" in run.finish()
        assert run.process.returncode == 1


@pytest.mark.skipif(find_spec("model_server") is None, reason="needs the embedded model server")
def test_a_missing_model_is_reported(tmp_path: Path, port: str) -> None:
    with Run(PORT=port, MODEL_BASE_PATH=str(tmp_path / "nothing")) as run:
        assert "The model server did not start" in run.finish()
        assert run.process.returncode == 1


def test_an_invalid_setting_is_reported(port: str) -> None:
    with Run(PORT=port, GATEWAY_MAX_IN_FLIGHT="many") as run:
        assert "GATEWAY_MAX_IN_FLIGHT" in run.finish()
        assert run.process.returncode == 1
