"""Kills, freezes, floods and fills while requests run, and counts what is lost.

    python bench/faults.py [--minutes 10] [--hostile FOLDER]    # as root

Gateway and embedded model server run as `make run` starts them. A few requests a second, whose
right answers are known, go on all the time; one fault after another is caused. A request that
overlaps a fault may be answered with a documented error. Everything else must be answered with the
right label, and the memory of all processes must be the same at the end.
"""

import argparse
import contextlib
import itertools
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import requests
from fault_traffic import SAMPLES, Traffic, judge
from gateway_testing.image_server import ImageServer
from gateway_testing.service import Service, gateway
from processes import ModelServer, memory

ROOT = Path(__file__).resolve().parent.parent
CALM_SECONDS = 12  # between faults
MAX_RECOVERY = 6  # seconds after a fault in which requests may still fail
MAX_GROWTH = 1.1


@dataclass
class Scene:
    """What the faults act on."""

    model: ModelServer
    service: Service
    traffic: Traffic
    disk: Path
    hostile: list[Path]

    def worker(self) -> psutil.Process:
        return psutil.Process(self.service.process.pid).children()[0]


def kill_the_model(scene: Scene) -> None:
    scene.model.kill()
    scene.model.start()
    loaded = time.monotonic()
    back = scene.traffic.first_success_after(loaded - 1) - loaded
    print(f"    first answer {max(0, back):.1f} s after the model was loaded again")


def freeze_the_model(scene: Scene) -> None:
    _freeze(scene.model.process)


def kill_a_worker(scene: Scene) -> None:
    scene.worker().kill()


def freeze_a_worker(scene: Scene) -> None:
    _freeze(scene.worker())


def _freeze(process: "psutil.Process | subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGSTOP)
    time.sleep(5)
    process.send_signal(signal.SIGCONT)


def replace_the_workers(scene: Scene) -> None:
    scene.service.process.send_signal(signal.SIGHUP)
    time.sleep(5)


def open_idle_connections(scene: Scene) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(400):
            client = socket.create_connection(("127.0.0.1", scene.service.port), timeout=10)
            stack.enter_context(client)
        time.sleep(10)


def flood(scene: Scene) -> None:
    """200 clients that ask again at once when they are refused."""
    until = time.monotonic() + 10
    _parallel(200, partial(_post_until, scene.service.url, SAMPLES["soccer"], until))


def send_hostile_images(scene: Scene) -> None:
    """Each image four times at once."""
    for path in scene.hostile:
        _parallel(4, partial(_post_until, scene.service.url, path.read_bytes(), 0.0))


def _post_until(url: str, image: bytes, until: float) -> None:
    with requests.Session() as session:
        while True:
            with contextlib.suppress(requests.RequestException):
                session.post(f"{url}/predict", files={"image": image}, timeout=60)
            if time.monotonic() >= until:
                return


def _parallel(count: int, function: Callable[[], None]) -> None:
    with ThreadPoolExecutor(count) as pool:
        for future in [pool.submit(function) for _ in range(count)]:
            future.result()


def fill_the_disk(scene: Scene) -> None:
    """The disk of the log and of the metrics' files."""
    filler = scene.disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    time.sleep(10)
    filler.unlink()


# Whether requests may fail meanwhile.
FAULTS: dict[Callable[[Scene], None], bool] = {
    kill_the_model: True,
    freeze_the_model: True,
    kill_a_worker: True,
    freeze_a_worker: True,
    flood: True,
    send_hostile_images: True,
    replace_the_workers: False,
    open_idle_connections: False,
    fill_the_disk: False,
}


@contextlib.contextmanager
def small_disk() -> Iterator[Path]:
    """A disk of 16 MB, which only root can mount."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder]
        subprocess.run(command, check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def cause_faults(scene: Scene, seconds: float) -> list[tuple[float, float]]:
    """Cause one fault after another for that long, and all of them at least once.

    Returns:
        When requests may fail: pairs of times on time.monotonic's clock.
    """
    windows: list[tuple[float, float]] = []
    until = time.monotonic() + seconds
    for number, fault in enumerate(itertools.cycle(list(FAULTS))):
        if number >= len(FAULTS) and time.monotonic() > until:
            break
        time.sleep(CALM_SECONDS)
        print(f"  {fault.__name__.replace('_', ' ')}", flush=True)
        began = time.monotonic()
        fault(scene)
        if FAULTS[fault]:
            windows.append((began, time.monotonic() + MAX_RECOVERY))
    return windows
    raise AssertionError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--hostile", type=Path, help="a folder of files that are costly to decode")
    options = parser.parse_args()
    hostile = sorted(options.hostile.iterdir()) if options.hostile else []
    if not hostile:
        FAULTS.pop(send_hostile_images)
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(small_disk())
        source = ImageServer()
        stack.callback(source.stop)
        source.routes |= {f"/{name}": data for name, data in SAMPLES.items()}
        model = ModelServer(disk / "model.log")
        stack.callback(model.stop)
        metrics = disk / "metrics"
        metrics.mkdir()
        settings = {
            "GATEWAY_ALLOW_PRIVATE_SOURCES": "true",
            "GATEWAY_ALLOWED_PORTS": str(source.port),
            "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        }
        log = stack.enter_context((disk / "gateway.log").open("wb"))
        service = stack.enter_context(gateway(model.host, workers=2, output=log, **settings))
        with Traffic(service.url, source).running() as traffic:
            scene = Scene(model, service, traffic, disk, hostile)
            # Some at once, so that both workers have started all their decoders.
            _parallel(8, partial(_post_until, service.url, SAMPLES["soccer"], time.monotonic() + 3))
            time.sleep(CALM_SECONDS)
            before = memory(psutil.Process(service.process.pid))
            windows = cause_faults(scene, 60 * options.minutes)
            time.sleep(2 * CALM_SECONDS)
            after = memory(psutil.Process(service.process.pid))
    counts = judge(traffic.answers, windows)
    print(
        len(traffic.answers),
        "requests:",
        dict(sorted(Counter(a.status for a in traffic.answers).items())),
    )
    print(f"memory of the gateway: {before / 1e6:.0f} -> {after / 1e6:.0f} MB")
    for name, count in counts.items():
        print(f"{name}: {count}")
    if any(counts.values()) or after > MAX_GROWTH * before:
        sys.exit("failed")


if __name__ == "__main__":
    main()
