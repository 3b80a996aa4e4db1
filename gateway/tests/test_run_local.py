"""`make run`, as a user sees it."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests

pytest.importorskip("model_server", reason="needs the embedded model server's environment")
import run_local
from saved_models import write_sports_model

SCRIPT = Path(run_local.__file__)


class Run:
    """`make run` in a process of its own; `lines` holds what it printed."""

    def __init__(self, **variables: str) -> None:
        self.url = f"http://localhost:{variables['PORT']}"
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []

    def wait_for(self, text: str) -> None:
        assert self.process.stdout
        timer = threading.Timer(120, self.process.kill)
        timer.start()
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                break
        else:
            pytest.fail("".join(self.lines))
        timer.cancel()

    def finish(self) -> str:
        output, _ = self.process.communicate(timeout=60)
        return "".join(self.lines) + output


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


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sports_model(tmp_path_factory.mktemp("sports"))


@pytest.fixture
def port() -> str:
    return str(run_local.free_port())


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_answers_serves_and_leaves_nothing_behind(
    model_folder: Path, port: str, how: signal.Signals
) -> None:
    run = Run(PORT=port, MODEL_BASE_PATH=str(model_folder))
    run.wait_for("Ctrl-C stops")
    assert 'soccer.jpg shows: "' in "".join(run.lines)
    assert requests.get(f"{run.url}/ping", timeout=5).text == "pong"
    started = descendants(run.process.pid)
    assert len(started) >= 3
    run.process.send_signal(how)
    assert "Traceback" not in run.finish()
    assert run.process.returncode == 0
    assert not started & set(processes())


def test_a_model_server_that_runs_already(model_folder: Path, port: str) -> None:
    host = f"localhost:{run_local.free_port()}"
    command = run_local.server_command({"MODEL_BASE_PATH": str(model_folder)}, host)
    with run_local.running(command, os.environ, SCRIPT.parents[1] / "model/server"):
        run = Run(PORT=port, TF_SERVING_HOST=host)
        run.wait_for("Ctrl-C stops")
        run.process.send_signal(signal.SIGINT)
        assert "model_server" not in run.finish()


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("", 0)) as listener:
        run = Run(PORT=str(listener.getsockname()[1]))
        assert "is taken. Choose another: make run PORT=" in run.finish()
    assert run.process.returncode == 1


@pytest.mark.parametrize("port", ["http", "0", "70000"])
def test_what_is_no_port(port: str) -> None:
    run = Run(PORT=port)
    assert "is not a port" in run.finish()
    assert run.process.returncode == 1


def test_a_model_that_is_not_there(tmp_path: Path, port: str) -> None:
    run = Run(PORT=port, MODEL_BASE_PATH=str(tmp_path / "nothing"))
    assert "The model server did not start" in run.finish()
    assert run.process.returncode == 1


def test_a_setting_that_cannot_be_read(model_folder: Path, port: str) -> None:
    run = Run(PORT=port, MODEL_BASE_PATH=str(model_folder), GATEWAY_MAX_IN_FLIGHT="many")
    output = run.finish()
    assert "GATEWAY_MAX_IN_FLIGHT" in output
    assert run.process.returncode == 1
