"""Sixteen URLs in one call against sixteen calls one after another, in turns.

    python bench/batch.py [--host localhost:9696] [--latency 0.1] [--rounds 5]

This script serves a 500 px JPEG after the latency: what a picture somewhere on the internet takes
to begin to arrive. Without --host it starts a gateway in front of a model that costs nothing. A
running service has to take the script's pictures:

    make run GATEWAY_ALLOW_PRIVATE_SOURCES=true GATEWAY_ALLOWED_PORTS=9900
"""

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "gateway"), str(ROOT / "gateway/tests")]

from drawings import encode, gradient  # noqa: E402
from fake_serving import FakeServing  # noqa: E402
from picture_server import PictureServer, answer  # noqa: E402
from service import gateway  # noqa: E402

COUNT, PORT = 16, 9900


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", help="of a running service")
    parser.add_argument("--latency", type=float, default=0.1, help="seconds")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    picture = encode(gradient(500, 375))

    def later(handler: object) -> None:
        time.sleep(options.latency)
        answer(handler, picture)  # type: ignore[arg-type]

    source = PictureServer(port=PORT)
    source.routes["/picture.jpg"] = later
    url = source.url("/picture.jpg")
    session = requests.Session()

    def ask(body: dict[str, object]) -> int:
        answer = session.post(f"http://{host}/v1/predictions", json=body, timeout=60)
        answer.raise_for_status()
        return sum("label" in one for one in answer.json()["predictions"])

    def one_call() -> int:
        return ask({"urls": [url] * COUNT})

    def many_calls() -> int:
        return sum(ask({"url": url}) for _ in range(COUNT))

    stack = contextlib.ExitStack()
    host = options.host or stack.enter_context(own_service())
    seconds: dict[str, list[float]] = {"one call": [], "many calls": []}
    for _ in range(options.rounds):
        for name, call in (("one call", one_call), ("many calls", many_calls)):
            began = time.perf_counter()
            assert call() == COUNT
            seconds[name].append(time.perf_counter() - began)
    for name, taken in seconds.items():
        print(f"{name}: median {statistics.median(taken):.2f} s for {COUNT} pictures")
    ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    stack.close()
    source.stop()


@contextlib.contextmanager
def own_service() -> Iterator[str]:
    serving = FakeServing()
    settings = {"GATEWAY_ALLOW_PRIVATE_SOURCES": "true", "GATEWAY_ALLOWED_PORTS": str(PORT)}
    with (
        Path("/dev/null").open("wb") as log,
        gateway(serving.host, workers=2, output=log, **settings) as service,
    ):
        yield f"localhost:{service.port}"
    serving.stop()


if __name__ == "__main__":
    main()
