"""The server as a process: flags, log and signals."""

import contextlib
import ctypes
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Self

import grpc
import pytest
from serving_client import DEADLINE_SECONDS, Client, pixels

from model_server.__main__ import main, read_flags

README = Path(__file__).parents[1] / "README.md"


class ServerProcess:
    """A server in a process of its own, which the end of the `with` block kills."""

    def __init__(self, *flags: str) -> None:
        command = [sys.executable, "-m", "model_server", "--port=0", "--model_name=m", *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.log: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:
            self.process.kill()

    def wait_for(self, pattern: str) -> re.Match[str]:
        assert self.process.stderr
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(pattern, line):
                return found
        pytest.fail("".join(self.log))

    def finish(self) -> str:
        """Wait for the end of the process; returns its whole log."""
        return "".join(self.log) + self.process.communicate(timeout=DEADLINE_SECONDS)[1]


StartServer = Callable[..., ServerProcess]


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    with contextlib.ExitStack() as stack:
        yield lambda *flags: stack.enter_context(ServerProcess(*flags))


def terminate_another_thread(pid: int) -> None:
    """Send SIGTERM to a thread that is not the main thread."""
    threads = [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]
    other = next(thread for thread in threads if thread != pid)
    ctypes.CDLL(None).tgkill(pid, other, signal.SIGTERM)


def test_server_finishes_requests_in_flight_before_it_stops(
    models: Path, tmp_path: Path, start_server: StartServer
) -> None:
    parameters = tmp_path / "batching.conf"
    parameters.write_text("batch_timeout_micros { value: 3000000 }")  # a request waits that long
    server = start_server(
        f"--model_base_path={models / 'signatures'}",
        "--enable_batching=true",
        f"--batching_parameters_file={parameters}",
    )
    server.wait_for("version 1 available in (fp32|bf16)")
    port = server.wait_for(r"listening on port (\d+) for model m")[1]
    with (
        grpc.insecure_channel(f"localhost:{port}") as channel,
        ThreadPoolExecutor(1) as pool,
    ):
        grpc.channel_ready_future(channel).result(DEADLINE_SECONDS)
        outputs = pool.submit(Client(channel).predict, images=pixels(7))
        wait([outputs], timeout=0.5)  # it has no means to say that its request is in the queue
        terminate_another_thread(server.process.pid)
        server.wait_for("stopping")
        assert outputs.result()["mean"] == [7]
    assert "Traceback" not in server.finish()
    assert server.process.returncode == 0


def test_server_logs_its_settings_and_stops_while_a_version_is_being_loaded(
    models: Path, start_server: StartServer
) -> None:
    server = start_server(
        f"--model_base_path={models / 'signatures'}", "--precision=fp32", "--grpc_max_threads=7"
    )
    server.wait_for(r"OpenVINO \d+\.\d+.* fp32, .* 7 concurrent requests, no batching")
    server.wait_for("loading version 1")
    server.process.send_signal(signal.SIGINT)
    assert "Traceback" not in server.finish()
    assert server.process.returncode == 0


def test_server_listens_when_its_version_is_loaded(models: Path, start_server: StartServer) -> None:
    # Server::BuildAndStart in model_servers/server.cc, which waits in WaitUntilModelsAvailable of
    # server_core.cc before it listens.
    server = start_server(f"--model_base_path={models / 'signatures'}", "--precision=fp32")
    port = server.wait_for(r"listening on port (\d+)")[1]
    with grpc.insecure_channel(f"localhost:{port}") as channel:
        assert Client(channel).predict(images=pixels(7))["mean"] == [7]


def test_server_says_why_its_version_is_not_loaded(
    tmp_path: Path, start_server: StartServer
) -> None:
    (tmp_path / "1").mkdir()
    server = start_server(f"--model_base_path={tmp_path}", "--file_system_poll_wait_seconds=0.1")
    server.wait_for("version 1 cannot be loaded")
    port = server.wait_for(r"listening on port (\d+)")[1]
    with grpc.insecure_channel(f"localhost:{port}") as channel:
        assert "saved_model.pb" in Client(channel).status()[1].status.error_message


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ([], "--model_base_path"),
        (["--model_base_path=/missing"], "no such folder: /missing"),
        (["--model_base_path=.", "--grpc_max_threads=0"], "not a number above 0"),
        (["--model_base_path=.", "--precision=int4"], "invalid choice"),
        (["--model_base_path=.", "--enable_batching=perhaps"], "neither true nor false"),
        (["--model_base_path=.", "--batching_parameters_file=x"], "without --enable_batching"),
        (
            ["--model_base_path=.", "--enable_batching", "--batching_parameters_file=/missing"],
            "No such file",
        ),
    ],
)
def test_invalid_flags_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    reason: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["model_server", *flags])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code not in (None, 0)
    assert reason in f"{capsys.readouterr().err}{end.value.code}"


def test_readme_lists_the_flags_and_their_defaults() -> None:
    rows = re.findall(r"^\| `--(\w+)` \| (?:`(.*?)` )?\|", README.read_text(), re.MULTILINE)
    defaults = read_flags(["--model_base_path=."])
    assert {name for name, _ in rows} == set(vars(defaults))
    documented = [f"--{name}={default}" for name, default in rows if default]
    assert read_flags(["--model_base_path=.", *documented]) == defaults
