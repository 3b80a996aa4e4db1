"""The service and its peers, started and stopped."""

import contextlib
import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import psutil
import requests

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "bench/peers"
PLAIN = Path(tempfile.gettempdir()) / "sports-bench-plain"  # made by peers/plain.py
OPERATIONS = PLAIN / "operations"  # for an image; written beside it
OURS = ROOT / "model/sport-classification-model"
VERSION = max(OURS.iterdir(), key=lambda folder: int(folder.name))  # the newest
sys.path[:0] = [str(ROOT / "gateway"), str(ROOT / "gateway/tests")]

import run_local  # noqa: E402

START_SECONDS = 180
TOLD = {
    *("bentoml", "flask", "gunicorn", "keras-image-helper", "litserve", "openvino", "pillow"),
    *("tensorflow", "tensorflow-serving-api"),
}


@dataclass(frozen=True)
class Command:
    """A process: what runs where. {port} and {model_port} stand for free ports."""

    arguments: Sequence[str]
    folder: Path = PEERS


def python(environment: str) -> str:
    return str(ROOT / ".venv" / environment / "bin/python")


def model_server(base_path: Path, *flags: str) -> Command:
    """The embedded model server, which stands in for TensorFlow Serving."""
    arguments = (
        *(python("server"), "-m", "model_server", "--port={model_port}"),
        "--model_name=sport-classification-model",
        f"--model_base_path={base_path}",
        *flags,
    )
    return Command(arguments, ROOT / "model/server")


# What TensorFlow Serving does unless it is told otherwise.
AS_TF_SERVING = ("--engine=tensorflow", "--mixed_precision=off")
BATCHING = ("--enable_batching", f"--batching_parameters_file={ROOT / 'model/batching.conf'}")


@dataclass(frozen=True)
class Service:
    """How to start one.

    Attributes:
        name: what the tables call it.
        environment: below .venv, whose packages it runs on.
        commands: its processes.
        environ: their settings.
    """

    name: str
    environment: str
    commands: Sequence[Command]
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Running:
    """One that runs. `ready` is the seconds from its start to its first answer."""

    url: str
    ready: float
    processes: list[psutil.Process]

    def megabytes(self) -> float:
        """Memory of all processes, what they share counted once (PSS)."""
        members = [member for process in self.processes for member in family(process)]
        return sum(member.memory_full_info().pss for member in members) / 1e6

    def processor_seconds(self) -> float:
        """That all processes have used."""
        return sum(map(processor_seconds, self.processes))


def family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def processor_seconds(process: psutil.Process) -> float:
    """That it and its children have used."""
    times = [member.cpu_times() for member in family(process)]
    return sum(each.user + each.system for each in times)


def ours(name: str, engine: str, **settings: str) -> Service:
    """Gateway and model server as `make run` starts them, on pictures of this machine."""
    server = model_server(OURS, *BATCHING, f"--engine={engine}")
    gateway = Command((str(ROOT / ".venv/gateway/bin/gunicorn"),), ROOT / "gateway")
    environ = {"GATEWAY_ALLOW_PRIVATE_SOURCES": "true", **settings}
    return Service(name, "gateway", (server, gateway), environ)


# As many places as clients, and all pictures come from one address here.
WIDE = {"GATEWAY_MAX_IN_FLIGHT": "32", "GATEWAY_MAX_PER_SOURCE": "32"}


def peers() -> list[Service]:
    inside = {"MODEL": str(VERSION), "TF_CPP_MIN_LOG_LEVEL": "2"}
    flask = (python("bench-reference"), str(PEERS / "reference.py"), "{port}")
    gunicorn = ("-m", "gunicorn", "--bind=127.0.0.1:{port}", "--threads=32", "--timeout=120")
    monolith = (python("bench-monolith"), *gunicorn, "monolith:app")
    litserve = (python("bench-litserve"), "litserve_peer.py", "{port}")
    bentoml = (
        *(str(ROOT / ".venv/bench-bentoml/bin/bentoml"), "serve", "bentoml_peer:Gateway"),
        *("--host=127.0.0.1", "--port={port}"),
    )
    return [
        Service(
            "reference",
            "bench-reference",
            (model_server(PLAIN, *AS_TF_SERVING), Command(flask)),
        ),
        Service("Flask + gunicorn", "bench-monolith", (Command(monolith),), inside),
        Service("LitServe", "bench-litserve", (Command(litserve),), inside),
        Service(
            "BentoML",
            "bench-bentoml",
            (Command(bentoml),),
            {**inside, "BENTOML_DO_NOT_TRACK": "true"},
        ),
    ]


@contextlib.contextmanager
def started(service: Service, picture: str) -> Iterator[Running]:
    """Start it and wait for its first answer about the picture at that URL.

    Raises:
        RuntimeError: it has stopped, or was not ready in time.
    """
    ports = {"port": str(run_local.free_port()), "model_port": str(run_local.free_port())}
    environ = {
        **os.environ,
        "TF_SERVING_HOST": f"localhost:{ports['model_port']}",
        "PORT": ports["port"],
        "GATEWAY_ALLOWED_PORTS": picture.split(":")[2].split("/")[0],
        **service.environ,
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
            _wait(url, picture, processes, began)
        except RuntimeError as error:
            log.seek(0)
            raise RuntimeError(f"{service.name}: {error}\n{log.read().decode()}") from None
        ready = time.perf_counter() - began
        yield Running(url, ready, [psutil.Process(process.pid) for process in processes])


@contextlib.contextmanager
def _running(
    command: Command, ports: Mapping[str, str], environ: Mapping[str, str], log: BinaryIO
) -> Iterator["subprocess.Popen[bytes]"]:
    arguments = [part.format(**ports) for part in command.arguments]
    try:
        with run_local.running(arguments, environ, command.folder, log) as process:
            yield process
    finally:
        with contextlib.suppress(ProcessLookupError):  # some leave workers behind
            os.killpg(process.pid, signal.SIGKILL)


def _wait(
    url: str, picture: str, processes: Sequence["subprocess.Popen[bytes]"], began: float
) -> None:
    while time.perf_counter() - began < START_SECONDS:
        if any(process.poll() is not None for process in processes):
            raise RuntimeError("has stopped")
        with contextlib.suppress(requests.RequestException):
            if requests.post(url, json={"url": picture}, timeout=60).ok:
                return
        time.sleep(0.1)
    raise RuntimeError(f"was not ready within {START_SECONDS} s")


def versions(service: Service) -> str:
    """Of the packages that make it what it is."""
    environments = [service.environment]
    if len(service.commands) > 1:
        environments.append("server")
    told: dict[str, str] = {}
    for environment in environments:
        folder = next((ROOT / ".venv" / environment / "lib").glob("python*/site-packages"))
        for package in importlib.metadata.distributions(path=[str(folder)]):
            if package.name in TOLD:
                told[package.name] = package.version
    return ", ".join(f"{name} {version}" for name, version in told.items())


def make_plain_export() -> None:
    """Export the weights as Keras itself does, unless that has been done since they changed."""
    made = PLAIN / "1/saved_model.pb"
    if not made.exists() or made.stat().st_mtime < (VERSION / "saved_model.pb").stat().st_mtime:
        shutil.rmtree(PLAIN, ignore_errors=True)
        command = [python("dev"), str(PEERS / "plain.py"), str(made.parent)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
