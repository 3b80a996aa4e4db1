"""`make run`, as a user sees it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests
import run_local
from gateway_testing.fake_serving import FakeServing
from gateway_testing.ports import free_port
from gateway_testing.waiting import wait_for
from make_run import SCRIPT, SECONDS, Run, answers, descendants, processes

MODEL = str(Path(__file__).parent / "models/sports")
needs_model_server = pytest.mark.skipif(
    find_spec("model_server") is None, reason="needs the embedded model server"
)

pytestmark = pytest.mark.timeout(2 * SECONDS)


@pytest.fixture
def port() -> str:
    return str(free_port())


@needs_model_server
def test_it_answers_serves_and_leaves_nothing_behind(port: str) -> None:
    with Run(PORT=port, MODEL_BASE_PATH=MODEL, MODEL_NAME="other") as run:
        run.wait_for("Ctrl-C stops")
        assert 'soccer.jpg shows: "' in "".join(run.lines)
        assert requests.get(f"{run.url}/ping", timeout=60).text == "pong"
        started = descendants(run.process.pid)
        assert len(started) >= 4  # the model server, gunicorn, two workers
        run.process.send_signal(signal.SIGINT)
        assert "Traceback" not in run.finish()
        assert run.process.returncode == 0
    wait_for(lambda: not started & set(processes()))  # decoders end when their worker has ended


@needs_model_server
def test_a_model_server_that_dies_is_started_again(port: str) -> None:
    with Run(PORT=port, MODEL_BASE_PATH=MODEL, WEB_CONCURRENCY="1") as run:
        run.wait_for("Ctrl-C stops")
        (server,) = (pid for pid, command in commands(run).items() if "model_server" in command)
        os.kill(server, signal.SIGKILL)
        run.wait_for("The model server has stopped. Starting it again.")
        run.wait_for("The model server answers again.")
        assert answers(f"{run.url}/readyz")
        run.process.send_signal(signal.SIGINT)
        assert "Traceback" not in run.finish()
        assert run.process.returncode == 0


def commands(run: Run) -> dict[int, str]:
    ps = [*"ps -o command= -p".split()]
    return {
        pid: subprocess.run([*ps, str(pid)], capture_output=True, text=True).stdout
        for pid in descendants(run.process.pid)
    }


Start = Callable[..., contextlib.AbstractContextManager[Run]]


@pytest.fixture
def start(serving: FakeServing, port: str) -> Start:
    """Starts it in front of a fake model server, and waits until it serves."""

    @contextlib.contextmanager
    def start(**variables: str):  # type: ignore[no-untyped-def]
        own = {"PORT": port, "TF_SERVING_HOST": serving.host, "WEB_CONCURRENCY": "1"}
        with Run(**own, **variables) as run:
            run.wait_for("Ctrl-C stops")
            yield run

    return start


def test_the_log_is_in_a_file_that_it_names(start: Start) -> None:
    with start() as run:
        output = "".join(run.lines)
        (log,) = run_local.LOGS.glob(f"gateway-{run.port}.log")
        assert log.name in output
        assert '"path": "/predict"' in log.read_text()
        assert '"level"' not in output


def test_it_works_with_api_keys_and_does_not_show_them(start: Start) -> None:
    with start(GATEWAY_API_KEYS="one-secret,another-secret") as run:
        output = "".join(run.lines)
        assert 'soccer.jpg shows: "cricket"' in output
        assert "Authorization: Bearer KEY" in output
        assert "secret" not in output


@pytest.mark.parametrize(("host", "reachable"), [("", False), ("0.0.0.0", True)])
def test_only_this_machine_reaches_it_unless_host_says_otherwise(
    start: Start, host: str, reachable: bool
) -> None:
    with start(HOST=host) as run:
        assert answers(f"http://127.0.0.1:{run.port}/ping")
        assert answers(f"http://127.0.0.2:{run.port}/ping") == reachable


def test_the_end_of_the_gateway_ends_it_and_shows_why(start: Start) -> None:
    with start() as run:
        (gunicorn,) = (pid for pid, parent in processes().items() if parent == run.process.pid)
        os.kill(gunicorn, signal.SIGTERM)
        output = run.finish()
        assert "The gateway has stopped. The end of" in output
        assert "Handling signal: term" in output
        assert run.process.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_stop_the_gateway_of_a_running_model_server(
    start: Start, number: signal.Signals
) -> None:
    with start() as run:
        started = descendants(run.process.pid)
        assert len(started) >= 2  # gunicorn and its worker, which starts decoders
        run.process.send_signal(number)
        assert "Traceback" not in run.finish()
        assert run.process.returncode == 0
    wait_for(lambda: not started & set(processes()))  # decoders end when their worker has ended


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
            wait_for(lambda: answers(f"{run.url}/healthz"))
            started = descendants(run.process.pid)
            run.process.send_signal(signal.SIGINT)
            assert "Traceback" not in run.finish()
            assert run.process.returncode == 0
    wait_for(lambda: not started & set(processes()))  # decoders end when their worker has ended


def test_a_signal_while_it_imports_ends_it(port: str) -> None:
    code = f"""
import os, runpy, signal, sys

class Interrupt:
    def find_spec(self, name, *_):
        if name == "requests":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.path.insert(0, {str(SCRIPT.parent)!r})
runpy.run_path({str(SCRIPT)!r}, run_name="__main__")
"""
    with Run("-c", code, PORT=port) as run:
        assert run.finish() == ""
        assert run.process.returncode == -signal.SIGINT


def test_a_port_in_use_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        with Run(PORT=port) as run:
            assert "is in use. Choose another: make run PORT=" in run.finish()
            assert run.process.returncode == 1


@pytest.mark.parametrize("port", ["http", "0", "70000"])
def test_an_invalid_port_is_reported(port: str) -> None:
    with Run(PORT=port) as run:
        assert "is not a port" in run.finish()
        assert run.process.returncode == 1


def test_an_invalid_host_is_reported(port: str) -> None:
    with Run(PORT=port, HOST="host.invalid") as run:
        assert f"HOST=host.invalid PORT={port}: " in run.finish()
        assert run.process.returncode == 1


@needs_model_server
def test_a_missing_model_is_reported(tmp_path: Path, port: str) -> None:
    with Run(PORT=port, MODEL_BASE_PATH=str(tmp_path / "nothing")) as run:
        output = run.finish()
        assert "The model server has stopped" in output
        assert "no such folder" in output
        assert run.process.returncode == 1


def test_an_invalid_setting_is_reported(port: str) -> None:
    with Run(PORT=port, GATEWAY_MAX_IN_FLIGHT="many") as run:
        assert "GATEWAY_MAX_IN_FLIGHT" in run.finish()
        assert run.process.returncode == 1
