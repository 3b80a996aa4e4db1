"""Start and stop a service's processes, and measure what they use."""

import contextlib
import importlib.metadata
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import psutil
import requests
import run_local
from gateway_testing.ports import free_port

from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.model_client import ModelClient

START_SECONDS = 180
REPORTED_PACKAGES = {
    *("bentoml", "flask", "gunicorn", "keras-image-helper", "litserve", "openvino", "pillow"),
    *("tensorflow", "tensorflow-serving-api"),
}


@dataclass(frozen=True)
class Command:
    """How to start one process.

    Attributes:
        arguments: a program of a virtual environment, and its arguments, in which {port} and
            {model_port} stand for free ports.
        folder: where it runs.
        environ: its environment variables, besides ours.
    """

    arguments: Sequence[str]
    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """A service, by the name that the tables use; its last process answers HTTP requests."""

    name: str
    commands: Sequence[Command]

    def versions(self) -> str:
        """Versions of the packages that decide how fast it is."""
        versions: dict[str, str] = {}
        for command in self.commands:
            environment = Path(command.arguments[0]).parents[1]
            folders = map(str, environment.glob("lib/python*/site-packages"))
            for package in importlib.metadata.distributions(path=list(folders)):
                if package.name in REPORTED_PACKAGES:
                    versions[package.name] = package.version
        return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


@dataclass(frozen=True)
class Running:
    """A running service. `ready` is the seconds from its start to its first answer."""

    url: str
    ready: float
    processes: list[psutil.Process]

    def megabytes(self) -> float:
        """Memory of all processes, shared pages counted once (PSS)."""
        return sum(map(memory, self.processes)) / 1e6

    def processor_seconds(self) -> float:
        """Processor time that all processes have used."""
        return sum(map(processor_seconds, self.processes))

    def suspend(self) -> None:
        """Keep all processes from running until they are resumed."""
        for process in self.processes:
            for member in _family(process):
                member.suspend()

    def resume(self) -> None:
        for process in self.processes:
            for member in _family(process):
                member.resume()


def memory(process: psutil.Process) -> float:
    """Bytes that a process and its children use, shared pages counted once (PSS)."""
    return float(sum(member.memory_full_info().pss for member in _family(process)))


def processor_seconds(process: psutil.Process) -> float:
    """Processor time that a process and its children have used."""
    times = [member.cpu_times() for member in _family(process)]
    return float(sum(each.user + each.system for each in times))


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


@contextlib.contextmanager
def started(service: Service, image_url: str) -> Iterator[Running]:
    """Start a service and wait until it has classified the image at this URL.

    Raises:
        RuntimeError: a process has stopped, or the service was not ready in time.
    """
    ports = {"port": str(free_port()), "model_port": str(free_port())}
    environ = {
        **os.environ,
        "TF_SERVING_HOST": f"localhost:{ports['model_port']}",
        "PORT": ports["port"],
        "GATEWAY_ALLOWED_PORTS": str(urlsplit(image_url).port),
    }
    url = f"http://127.0.0.1:{ports['port']}/predict"
    began = time.perf_counter()
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(tempfile.TemporaryFile())
        processes = [
            stack.enter_context(_running(command, ports, environ, log))
            for command in service.commands
        ]
        try:
            _wait_until_ready(url, image_url, processes)
        except RuntimeError as error:
            log.seek(0)
            raise RuntimeError(f"{service.name}: {error}\n{log.read().decode()}") from None
        ready = time.perf_counter() - began
        running = Running(url, ready, [psutil.Process(process.pid) for process in processes])
        try:
            yield running
        finally:
            running.resume()  # a suspended process would not end


@contextlib.contextmanager
def _running(
    command: Command, ports: Mapping[str, str], environ: Mapping[str, str], log: BinaryIO
) -> Iterator["subprocess.Popen[bytes]"]:
    arguments = [part.format(**ports) for part in command.arguments]
    process: subprocess.Popen[bytes] | None = None
    try:
        own_environ = {**environ, **command.environ}
        with run_local.running(arguments, own_environ, command.folder, log) as process:
            yield process
    finally:
        if process:
            with contextlib.suppress(ProcessLookupError):  # some services leave workers behind
                os.killpg(process.pid, signal.SIGKILL)


def _wait_until_ready(
    url: str, image_url: str, processes: Sequence["subprocess.Popen[bytes]"]
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if any(process.poll() is not None for process in processes):
            raise RuntimeError("a process has stopped")
        with contextlib.suppress(requests.RequestException):
            if requests.post(url, json={"url": image_url}, timeout=60).ok:
                return
        time.sleep(0.1)
    raise RuntimeError(f"was not ready within {START_SECONDS} s")


class ModelServer:
    """The embedded model server, restarted like a container whose process has died."""

    def __init__(self, log: Path) -> None:
        self.host = f"localhost:{free_port()}"
        self._log = log.open("wb")
        self.start()

    def start(self) -> None:
        command = run_local.server_command({}, self.host)
        self.process = subprocess.Popen(
            command, cwd=run_local.ROOT / "model/server", stdout=self._log, stderr=self._log
        )
        model = ModelClient(Settings(tf_serving_host=self.host))
        while self.process.poll() is None:
            with contextlib.suppress(GatewayError):
                model.check_available(time.monotonic() + 1)
                break
            time.sleep(0.1)
        else:
            raise RuntimeError(f"the model server has stopped: see {self._log.name}")
        model.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        self._log.close()
