"""A day's traffic in twenty minutes: does a worker's memory grow?

    python bench/soak.py [--minutes 20] [--rate 72]

72 requests a second for 20 minutes are as many as one a second in 24 hours. They are what a day
brings: pictures of several sizes and formats by URL and as a body, sources that redirect, fail,
drip and lie, files that are no pictures, requests that make no sense. Every minute all requests are
waited for and each worker's memory is printed; in the end, how far it has grown since the first.
"""

import argparse
import contextlib
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "gateway"), str(ROOT / "gateway/tests")]

import picture_server as behaviour  # noqa: E402
from drawings import encode, gradient, png_header  # noqa: E402
from fake_serving import FakeServing  # noqa: E402
from picture_server import PictureServer, answer, redirect  # noqa: E402
from service import Service, gateway  # noqa: E402

WARM_UP_SECONDS = 60
PAUSE_SECONDS = 12  # a worker gives memory back every ten seconds
PICTURES = {
    "small.jpg": encode(gradient(500, 375)),
    "large.jpg": encode(gradient(4000, 3000)),
    "a.png": encode(gradient(640, 480), "PNG"),
    "a.webp": encode(gradient(900, 600), "WEBP"),
    "a.gif": encode(gradient(320, 240), "GIF"),
    "bomb.png": png_header(30_000, 30_000),
    "broken.jpg": encode(gradient())[:3000],
    "no.jpg": b"<!doctype html>",
}
ROUTES = {
    "away": redirect("/small.jpg"),
    "loop": redirect("/loop"),
    "fails": lambda handler: answer(handler, b"", 500),
    "drips": behaviour.drip,
    "floods": behaviour.flood,
    "breaks-off": behaviour.broken_off,
}
OFTEN = ["small.jpg"] * 20 + ["a.png", "a.webp", "large.jpg"] * 3


def one_request(url: str, source: PictureServer, chance: random.Random) -> Callable[[], int]:
    """Draw a request; calling it answers the status."""
    name = chance.choice([*OFTEN, *PICTURES, *ROUTES, "missing"])
    route = chance.choice(["/predict", "/predict?show_probability=true", "/v1/predictions"])
    kind = chance.choice(["url"] * 6 + ["body", "form", "nonsense"])
    if kind == "body" and name in PICTURES:
        sent = {"data": PICTURES[name], "headers": {"Content-Type": "image/jpeg"}}
    elif kind == "form" and name in PICTURES:
        sent = {"files": {"image": PICTURES[name]}}
    elif kind == "nonsense":
        sent = {"data": chance.randbytes(200)}
    else:
        sent = {"json": {"url": source.url(f"/{name}")}}
    return lambda: requests.post(url + route, timeout=30, **sent).status_code


def memory(service: Service) -> list[float]:
    """Megabytes of each worker."""
    pid = service.process.pid
    workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    pages = [int(Path(f"/proc/{worker}/statm").read_text().split()[1]) for worker in workers]
    return [count * 4096 / 1e6 for count in pages]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=72, help="requests a second")
    options = parser.parse_args()
    chance, statuses = random.Random(0), Counter[int]()
    serving, source = FakeServing(), PictureServer()
    source.routes |= {f"/{name}": route for name, route in {**PICTURES, **ROUTES}.items()}
    settings = {
        "GATEWAY_ALLOW_PRIVATE_SOURCES": "true",
        "GATEWAY_ALLOWED_PORTS": str(source.port),
        "GATEWAY_FETCH_TIMEOUT": "2",
    }
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(Path("/dev/null").open("wb"))
        service = stack.enter_context(gateway(serving.host, workers=2, output=log, **settings))
        pool = stack.enter_context(ThreadPoolExecutor(64))
        began = time.monotonic()
        sizes: list[list[float]] = []
        waiting: set[Future[int]] = set()
        sent = 0
        while (passed := time.monotonic() - began) < WARM_UP_SECONDS + 60 * options.minutes:
            if passed >= WARM_UP_SECONDS + 60 * len(sizes):
                wait(waiting)
                waiting.clear()
                time.sleep(PAUSE_SECONDS)
                sizes.append(memory(service))
                shown = "  ".join(f"{size:.1f} MB" for size in sizes[-1])
                print(f"{len(sizes) - 1:3} min, {sent:6} requests: {shown}", flush=True)
            if passed >= sent / options.rate:
                done = pool.submit(one_request(service.url, source, chance))
                done.add_done_callback(lambda done: statuses.update([done.result()]))
                waiting.add(done)
                sent += 1
                for seen in (source.seen, source.peers, serving.requests, serving.metadata):
                    seen.clear()
            else:
                time.sleep(0.002)
        wait(waiting)
        time.sleep(PAUSE_SECONDS)
        sizes.append(memory(service))
    for before, after in zip(sizes[0], sizes[-1], strict=True):
        print(f"{before:.1f} -> {after:.1f} MB: {100 * (after / before - 1):+.1f} %")
    print("statuses:", dict(sorted(statuses.items())))
    source.stop()
    serving.stop()


if __name__ == "__main__":
    main()
