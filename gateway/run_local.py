"""Run the service on this machine without Docker: `make run`.

Starts the embedded model server (unless TF_SERVING_HOST names another) and the
gateway, classifies a sample image, and serves until Ctrl-C, which stops both.
"""

import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until main() there is nothing to stop

import contextlib
import errno
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import BinaryIO

import requests
from stop_signal import Stopped, StopSignal

from gateway.config import Settings

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = Path("dataset/samples/soccer.jpg")
LOGS, CACHE = (Path(sys.prefix) / name for name in ("logs", "model-cache"))
LINES_SHOWN = 15  # of the log of a process that has stopped
START_SECONDS = 180
STOP_SECONDS = 40
PROBE_SECONDS = 5
MODEL_THREADS = 256  # more than the gateway's requests, so that none is refused
# What the Dockerfile sets, too: glibc gives an image's memory back as soon as it is freed,
# whichever thread decoded it.
GLIBC = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "1048576"}
GATEWAY, MODEL_SERVER = "gateway", "model server"
Processes = Mapping[str, "subprocess.Popen[bytes]"]


class ProcessStopped(Exception):
    """A process has stopped by itself; the text is its name."""


def main(environ: Mapping[str, str] = os.environ) -> None:
    host, port = environ.get("HOST") or "127.0.0.1", _port(environ.get("PORT") or "9696")
    _check_address(host, port)
    gateway_environ = {**GLIBC, **environ, "HOST": host, "PORT": str(port)}
    if environ.get("MODEL_NAME"):
        gateway_environ["GATEWAY_MODEL_NAME"] = environ["MODEL_NAME"]
    settings = _settings(gateway_environ)  # a bad one is reported before anything is started
    stop = StopSignal(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    with contextlib.suppress(Stopped), contextlib.ExitStack() as stack:
        processes: dict[str, subprocess.Popen[bytes]] = {}

        def start(name: str, command: list[str], environ: Mapping[str, str], folder: str) -> None:
            log = stack.enter_context(_log(name, port).open("ab"))
            processes[name] = stack.enter_context(running(command, environ, ROOT / folder, log))

        def start_model_server() -> None:
            command = server_command(environ, gateway_environ["TF_SERVING_HOST"])
            start(MODEL_SERVER, command, environ, "model/server")

        LOGS.mkdir(exist_ok=True)
        for name in (GATEWAY, MODEL_SERVER):
            _log(name, port).write_bytes(b"")
        if not environ.get("TF_SERVING_HOST"):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sports-"))
            gateway_environ["TF_SERVING_HOST"] = f"unix:{folder}/model"
            start_model_server()
        start(GATEWAY, [tool("run", "gunicorn")], gateway_environ, "gateway")
        print("Starting. Logs:", *(_shown(_log(name, port)) for name in processes), flush=True)
        try:
            _serve(_url(host, port), settings, processes, stop, start_model_server)
        except ProcessStopped as stopped:
            sys.exit(_report(str(stopped), _log(str(stopped), port)))


def _serve(
    url: str,
    settings: Settings,
    processes: Processes,
    stop: StopSignal,
    start_model_server: Callable[[], None],
) -> None:
    wait_until_ready(url, processes, stop)
    print(stop.call(lambda: _summary(url, settings)), flush=True)
    while True:
        stop.sleep(0.5)
        if (stopped := _stopped(processes)) == MODEL_SERVER:
            print("The model server has stopped. Starting it again.", flush=True)
            start_model_server()
            wait_until_ready(url, processes, stop)
            print("The model server answers again.", flush=True)
        elif stopped:
            raise ProcessStopped(stopped)


def server_command(environ: Mapping[str, str], host: str) -> list[str]:
    """Starts the embedded model server at `host`, which is localhost:PORT or unix:PATH."""
    kind, _, at = host.rpartition(":")
    base_path = environ.get("MODEL_BASE_PATH") or "model/sport-classification-model"
    return [
        tool("run", "python"),
        *("-m", "model_server"),
        *(("--port=0", f"--grpc_socket_path={at}") if kind == "unix" else (f"--port={at}",)),
        f"--grpc_max_threads={MODEL_THREADS}",
        f"--model_name={environ.get('MODEL_NAME') or 'sport-classification-model'}",
        f"--model_base_path={Path.cwd() / base_path}",
        "--enable_batching",
        f"--batching_parameters_file={ROOT / 'model/batching.conf'}",
        f"--precision={environ.get('PRECISION') or 'auto'}",
        f"--cache_folder={CACHE}",
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


def wait_until_ready(url: str, processes: Processes, stop: StopSignal | None = None) -> None:
    """Wait until the gateway at `url` and its model server answer.

    Raises:
        ProcessStopped: one of the processes has stopped.
        SystemExit: START_SECONDS have passed; the text says what was missing.
        Stopped: a signal has come.
    """

    def missing() -> str:
        try:
            response = requests.get(f"{url}/readyz", timeout=PROBE_SECONDS)
        except requests.RequestException:
            return "The gateway does not answer."
        return "" if response.ok else str(response.json()["detail"])

    call, sleep = (stop.call, stop.sleep) if stop else (lambda function: function(), time.sleep)
    deadline = time.monotonic() + START_SECONDS
    while reason := call(missing):
        if _stopped(processes):
            raise ProcessStopped(_stopped(processes))
        if time.monotonic() > deadline:
            sys.exit(f"The service was not ready within {START_SECONDS} s: {reason}")
        sleep(0.2)


def _stopped(processes: Processes) -> str:
    return next((name for name, process in processes.items() if process.poll() is not None), "")


def _summary(url: str, settings: Settings) -> str:
    key = next(iter(settings.api_keys), "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with (ROOT / SAMPLE).open("rb") as file:
        response = requests.post(
            f"{url}/predict", files={"image": file}, headers=headers, timeout=60
        )
    if not response.ok:
        sys.exit(f"{SAMPLE}: {response.json()['detail']}")
    option = " -H 'Authorization: Bearer KEY'" if key else ""
    return f"""
{SAMPLE} shows: {response.text.strip()}

Send an image of your own, in a browser at {url}, or by command:
  curl -X POST {url}/predict{option} -H 'Content-Type: application/json' \\
       -d '{{"url": "https://example.com/image.jpg"}}'
  curl -F image=@{SAMPLE}{option} '{url}/predict?show_probability=true'

Ctrl-C stops the service.
"""


def _report(name: str, log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-LINES_SHOWN:]
    return "\n".join([f"The {name} has stopped. The end of {_shown(log)}:", *lines])


def _log(name: str, port: int) -> Path:
    return LOGS / f"{name.replace(' ', '-')}-{port}.log"


def _shown(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _settings(environ: Mapping[str, str]) -> Settings:
    try:
        return Settings.from_env(environ)
    except ValueError as error:
        sys.exit(str(error))


def _port(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 65536):
        sys.exit(f"PORT: {text!r} is not a port from 1 to 65535")
    return int(text)


def _check_address(host: str, port: int) -> None:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            sys.exit(f"Port {port} is in use. Choose another: make run PORT={port + 1}")
        sys.exit(f"HOST={host} PORT={port}: {error.strerror}")


def _url(host: str, port: int) -> str:
    """The address for clients on this machine."""
    with contextlib.suppress(ValueError):
        address = ip_address(host)
        if address.is_loopback or address.is_unspecified:
            host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


if __name__ == "__main__":
    main()
