"""Run the service on this machine without Docker: `make run`.

Starts the embedded model server (unless TF_SERVING_HOST names another) and the
gateway, asks for one sample picture, and serves until Ctrl-C, which stops both.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = Path("dataset/samples/soccer.jpg")
START_SECONDS = 180  # a slow disk takes its time with TensorFlow the first time
STOP_SECONDS = 40


def main(environ: Mapping[str, str] = os.environ) -> None:
    port = int(environ.get("PORT") or 9696)
    if not _is_free(port):
        sys.exit(f"Port {port} is taken. Choose another: make run PORT={port + 1}")
    # A shell's background job ignores SIGINT; SIGHUP comes when its terminal is closed.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        gateway_environ = dict(environ, PORT=str(port))
        processes = {}
        if not environ.get("TF_SERVING_HOST"):
            host = f"localhost:{free_port()}"
            server = running(server_command(environ, host), environ, ROOT / "model/server")
            processes["model server"] = stack.enter_context(server)
            gateway_environ["TF_SERVING_HOST"] = host
        if environ.get("MODEL_NAME"):
            gateway_environ["GATEWAY_MODEL_NAME"] = environ["MODEL_NAME"]
        gateway = running([tool("gateway", "gunicorn")], gateway_environ, ROOT / "gateway")
        processes["gateway"] = stack.enter_context(gateway)
        url = f"http://localhost:{port}"
        wait_until_ready(url, processes)
        _show(url)
        while not _dead(processes):
            time.sleep(0.5)
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
    ]


def tool(environment: str, name: str) -> str:
    """A program of one of the environments that make has set up; without them, of our own."""
    tool = ROOT / ".venv" / environment / "bin" / name
    return str(tool if tool.exists() else Path(sys.executable).with_name(name))


@contextlib.contextmanager
def running(
    command: list[str], environ: Mapping[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    # In a session of its own, so that Ctrl-C reaches this script alone, which stops them in order.
    process = subprocess.Popen(command, cwd=folder, env=environ, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(url: str, processes: Mapping[str, subprocess.Popen[bytes]]) -> None:
    reason = "it did not answer"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if _dead(processes):
            sys.exit(f"The {_dead(processes)} did not start; its log is above.")
        with contextlib.suppress(requests.RequestException):
            response = requests.get(f"{url}/readyz", timeout=5)
            if response.ok:
                return
            reason = response.json()["detail"]
        time.sleep(0.2)
    sys.exit(f"The service was not ready within {START_SECONDS} s: {reason}")


def _dead(processes: Mapping[str, subprocess.Popen[bytes]]) -> str:
    return next((name for name, process in processes.items() if process.poll() is not None), "")


def _show(url: str) -> None:
    with (ROOT / SAMPLE).open("rb") as file:
        response = requests.post(f"{url}/predict", files={"image": file}, timeout=60)
    if not response.ok:
        sys.exit(f"{SAMPLE}: {response.json()['detail']}")
    print(
        f"""
{SAMPLE} shows: {response.text.strip()}

Ask for a picture of your own:
  curl -X POST {url}/predict -H 'Content-Type: application/json' \\
       -d '{{"url": "https://example.com/picture.jpg"}}'
  curl -F image=@{SAMPLE} '{url}/predict?show_probability=true'

Ctrl-C stops the service.
""",
        flush=True,
    )


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
