"""How many answers are left when clients ask again at once after a refusal?

    python bench/goodput.py [--seconds 10] [--rounds 3] [--against FOLDER]

Gateway and embedded model server as `make run` starts them. Eight clients that wait as Retry-After
says, and then 32 and 256 that do not, alternately; the load comes from the same processors. One
patient client and a health check go on beside them. --against measures another checkout, too.
"""

import argparse
import contextlib
import multiprocessing
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from threading import Event, Thread

import numpy as np
import requests
import services
from image_source import image_source
from load import Load, closed_loop
from processes import started
from tables import table

PATIENT = 8
IMPATIENT = (32, 256)
SETTINGS = {"GATEWAY_MAX_PER_SOURCE": "32"}  # here all images come from one address
PAUSE = 0.05  # between health checks


@dataclass
class Seen:
    """Seconds until an answer: of health checks, and of a patient client, refusals included."""

    health: list[float] = field(default_factory=list)
    patient: list[float] = field(default_factory=list)


@dataclass
class Round:
    load: Load
    seen: Seen


def observe(url: str, image: str, pipe: Connection) -> None:
    """Check the health and classify images until something is sent through the pipe."""
    seen, ended = Seen(), Event()

    def ask() -> None:
        while not ended.is_set():
            began = time.perf_counter()
            while (
                answer := requests.post(url, json={"url": image}, timeout=60)
            ).status_code == 429:
                time.sleep(float(answer.headers["Retry-After"]))
            answer.raise_for_status()
            seen.patient.append(time.perf_counter() - began)
            time.sleep(1)

    client = Thread(target=ask)
    client.start()
    while not pipe.poll(PAUSE):
        began = time.perf_counter()
        requests.get(url.replace("/predict", "/healthz"), timeout=60).raise_for_status()
        seen.health.append(time.perf_counter() - began)
    ended.set()
    client.join()
    pipe.send(seen)


def measure(url: str, images: list[str], clients: int, seconds: float) -> Round:
    ours, theirs = multiprocessing.Pipe()
    observer = multiprocessing.Process(target=observe, args=(url, images[0], theirs), daemon=True)
    observer.start()
    load = closed_loop(url, images, clients, seconds, patient=clients == PATIENT)
    ours.send(None)
    seen: Seen = ours.recv()
    observer.join()
    if load.errors:
        raise RuntimeError(f"{load.errors} errors")
    return Round(load, seen)


def row(name: str, clients: int, rounds: list[Round], calm: list[Round]) -> tuple[str, ...]:
    health = [1000 * value for each in rounds for value in each.seen.health]
    share = median(a.load.rate / b.load.rate for a, b in zip(rounds, calm, strict=True))
    return (
        *(name, f"{clients}", f"{median(each.load.rate for each in rounds):.1f}"),
        f"{100 * share:.0f} %",
        f"{median(len(each.load.refused) / each.load.seconds for each in rounds):.0f}",
        f"{np.percentile(health, 99):.0f}",
        f"{max(max(each.seen.patient) for each in rounds):.1f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", metavar="FOLDER", type=Path, help="another checkout")
    options = parser.parse_args()
    checkouts = {"this": services.ROOT}
    if options.against:
        checkouts["other"] = options.against.resolve()
    rows = []
    with contextlib.ExitStack() as stack:
        images = stack.enter_context(image_source()).small
        running = {
            name: stack.enter_context(
                started(services.ours(name, "auto", SETTINGS, checkout), images[0])
            )
            for name, checkout in checkouts.items()
        }
        for each in running.values():
            closed_loop(each.url, images, PATIENT, 3)  # warm-up
        rounds: dict[tuple[str, int], list[Round]] = {}
        for _ in range(options.rounds):
            for clients in (PATIENT, *IMPATIENT):
                for name, each in running.items():
                    done = measure(each.url, images, clients, options.seconds)
                    rounds.setdefault((name, clients), []).append(done)
        rows = [row(*key, found, rounds[key[0], PATIENT]) for key, found in rounds.items()]
    head = ("answers/s", "of calm", "refusals/s", "health p99, ms", "patient client at most, s")
    print(table(("checkout", "clients", *head), rows))


if __name__ == "__main__":
    main()
