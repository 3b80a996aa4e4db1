"""Run the service on this machine without Docker: `make run`.

Starts the embedded model server (unless TF_SERVING_HOST names another) and the
gateway, classifies a sample image, and serves until Ctrl-C, which stops both.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import BinaryIO, TypeVar

import requests

from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.model_client import ModelClient

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = Path("dataset/samples/soccer.jpg")
START_SECONDS = 180  # the first import of TensorFlow from a slow disk takes long
STOP_SECONDS = 40
PROBE_SECONDS = 5
# What the Dockerfile sets, too: glibc gives an image's memory back as soon as it is freed,
# whichever thread decoded it.
GLIBC = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "1048576"}
Result = TypeVar("Result")
Processes = Mapping[str, "subprocess.Popen[bytes]"]


class Stopped(Exception):
    """The process has been asked to stop."""


class StopSignal:
    """Notes signals in a socket, through signal.set_wakeup_fd, until they are looked at.

    Unlike a KeyboardInterrupt, which may be raised anywhere and is lost in a finalizer, a note
    is never lost; and unlike an Event it is made whichever thread the signal is delivered to.
    """

    def __init__(self, *numbers: signal.Signals) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        signal.set_wakeup_fd(self._sender.fileno())
        for number in numbers:  # replaces SIG_IGN, too: a shell's background job ignores SIGINT
            signal.signal(number, lambda *_: None)

    def sleep(self, seconds: float) -> None:
        """Wait, and raise Stopped as soon as one of the signals has come."""
        if select.select([self._receiver], [], [], seconds)[0]:
            raise Stopped

    def call(self, function: Callable[[], Result]) -> Result:
        """Call a function in another thread, and raise Stopped instead of waiting for its end."""
        pool = ThreadPoolExecutor(1)
        future = pool.submit(function)
        pool.shutdown(wait=False)
        while not wait([future], timeout=0).done:
            self.sleep(0.02)
        return future.result()


def main(environ: Mapping[str, str] = os.environ) -> None:
    port = _port(environ.get("PORT") or "9696")
    if not _is_free(port):
        sys.exit(f"Port {port} is in use. Choose another: make run PORT={port + 1}")
    stop = StopSignal(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    with contextlib.suppress(Stopped), contextlib.ExitStack() as stack:
        gateway_environ = {**GLIBC, **environ, "PORT": str(port)}
        if environ.get("MODEL_NAME"):
            gateway_environ["GATEWAY_MODEL_NAME"] = environ["MODEL_NAME"]
        settings(gateway_environ)  # a bad one is reported before anything is started
        processes: dict[str, subprocess.Popen[bytes]] = {}
        if not environ.get("TF_SERVING_HOST"):
            host = f"localhost:{free_port()}"
            server = running(server_command(environ, host), environ, ROOT / "model/server")
            processes["model server"] = stack.enter_context(server)
            gateway_environ["TF_SERVING_HOST"] = host
            wait_until_loaded(settings(gateway_environ), processes, stop)
        gateway = running([tool("gateway", "gunicorn")], gateway_environ, ROOT / "gateway")
        processes["gateway"] = stack.enter_context(gateway)
        url = f"http://localhost:{port}"
        wait_until_ready(url, processes, stop)
        print(stop.call(lambda: _summary(url)), flush=True)
        while not _dead(processes):
            stop.sleep(0.5)
        sys.exit(f"The {_dead(processes)} has stopped; its log is above.")


def server_command(environ: Mapping[str, str], host: str) -> list[str]:
    base_path = environ.get("MODEL_BASE_PATH") or "model/sport-classification-model"
    return [
        tool("server", "python"),
        *("-m", "model_server"),
        f"--port={host.split(':')[1]}",
        f"--model_name={environ.get('MODEL_NAME') or 'sport-classification-model'}",
        f"--model_base_path={Path.cwd() / base_path}",
        "--enable_batching",
        f"--batching_parameters_file={ROOT / 'model/batching.conf'}",
        f"--engine={environ.get('ENGINE') or 'auto'}",
    ]


def tool(environment: str, name: str) -> str:
    """A program of an environment that make has set up, or else of the current one."""
    tool = ROOT / ".venv" / environment / "bin" / name
    return str(tool if tool.exists() else Path(sys.executable).with_name(name))


@contextlib.contextmanager
def running(
    command: list[str],
    environ: Mapping[str, str],
    folder: Path,
    output: BinaryIO | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    # In a session of its own, so that Ctrl-C reaches this script alone, which stops them in order.
    process = subprocess.Popen(
        command, cwd=folder, env=environ, stdout=output, stderr=output, start_new_session=True
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def settings(environ: Mapping[str, str]) -> Settings:
    try:
        return Settings.from_env(environ)
    except ValueError as error:
        sys.exit(str(error))


def wait_until_loaded(
    settings: Settings, processes: Processes, stop: StopSignal | None = None
) -> None:
    """Wait for the model here, so that the gateway's log starts when it can be asked."""
    with contextlib.closing(ModelClient(settings)) as model:

        def reason() -> str:
            try:
                model.check_available(time.monotonic() + PROBE_SECONDS)
            except GatewayError as error:
                return str(error)
            return ""

        _wait(reason, processes, stop)


def wait_until_ready(url: str, processes: Processes, stop: StopSignal | None = None) -> None:
    def reason() -> str:
        try:
            response = requests.get(f"{url}/readyz", timeout=PROBE_SECONDS)
        except requests.RequestException:
            return "The gateway does not answer."
        return "" if response.ok else str(response.json()["detail"])

    _wait(reason, processes, stop)


def _wait(reason: Callable[[], str], processes: Processes, stop: StopSignal | None) -> None:
    """Wait until there is no reason to wait any longer."""
    call, sleep = (stop.call, stop.sleep) if stop else (lambda function: function(), time.sleep)
    deadline = time.monotonic() + START_SECONDS
    while why := call(reason):
        if _dead(processes):
            sys.exit(f"The {_dead(processes)} did not start; its log is above.")
        if time.monotonic() > deadline:
            sys.exit(f"The service was not ready within {START_SECONDS} s: {why}")
        sleep(0.2)


def _dead(processes: Processes) -> str:
    return next((name for name, process in processes.items() if process.poll() is not None), "")


def _summary(url: str) -> str:
    with (ROOT / SAMPLE).open("rb") as file:
        response = requests.post(f"{url}/predict", files={"image": file}, timeout=60)
    if not response.ok:
        sys.exit(f"{SAMPLE}: {response.json()['detail']}")
    return f"""
{SAMPLE} shows: {response.text.strip()}

Send an image of your own, in a browser at {url}, or by command:
  curl -X POST {url}/predict -H 'Content-Type: application/json' \\
       -d '{{"url": "https://example.com/image.jpg"}}'
  curl -F image=@{SAMPLE} '{url}/predict?show_probability=true'

Ctrl-C stops the service.
"""


def _port(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 65536):
        sys.exit(f"PORT: {text!r} is not a port from 1 to 65535")
    return int(text)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
