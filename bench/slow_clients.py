"""Clients that do little and hold what they can: are health checks and images answered meanwhile?

    python bench/slow_clients.py [--connections 100 400] [--seconds 10] [--against FOLDER] [FORM]

Each form of attack has a gateway of its own, with two workers, in front of a model server that
answers at once. Every attacking client opens a connection, does what its form says, holds the
connection for ten seconds, and begins anew. --against attacks another checkout's gateway, too.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import requests
import services
from image_source import ImageSource, image_source
from processes import started
from tables import table

TIMEOUT = 10.0  # of a health check; then it is lost
PAUSE = 0.05  # between health checks
IMAGE_CLIENTS = 2
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 s
GET = b"GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n"
POST = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\n"
LENGTH = b"Content-Length: 5000000\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"
LARGE = b"/docs/swagger-ui-bundle.js"


@dataclass(frozen=True)
class Form:
    """What an attacking client sends at first and every second; it never reads."""

    first: bytes
    then: bytes = b""
    hold: float = 10.0  # seconds
    reset: bool = False


FORMS = {
    "none": Form(b""),
    "silence": Form(b""),
    "half a head": Form(b"GET /ping HTTP/1.1\r\nHost: a"),
    "head, byte by byte": Form(b"GET /ping HTTP/1.1\r\nA: ", b"a"),
    "endless head": Form(b"GET /ping HTTP/1.1\r\nA: " + b"a" * 40_000),
    "lines ended by LF": Form(b"GET /ping HTTP/1.1\nHost: a\n\n"),
    "closing, held open": Form(GET % (b"/ping", b"Connection: close\r\n")),
    "HTTP/1.0, held open": Form(b"GET /ping HTTP/1.0\r\n\r\n"),
    "bad version": Form(b"GET /ping HTTP/3.7\r\n\r\n"),
    "HTTP/2 preface": Form(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100)),
    "garbage": Form(bytes(range(256)) * 40),
    "body that never comes": Form(POST + LENGTH + b"\r\n"),
    "body, byte by byte": Form(POST + LENGTH + b"\r\n", b"a"),
    "half a large body": Form(POST + LENGTH + b"\r\n" + bytes(2_500_000)),
    "Expect": Form(POST + LENGTH + b"Expect: 100-continue\r\n\r\n"),
    "chunks that never come": Form(CHUNKED + b"\r\n"),
    "chunks, byte by byte": Form(CHUNKED + b"\r\n", b"1\r\na\r\n"),
    "chunks with Expect": Form(CHUNKED + b"Expect: 100-continue\r\n\r\n", b"1\r\na\r\n"),
    "endless chunk-size line": Form(CHUNKED + b"\r\n5;", b"a" * 20),
    "endless trailers": Form(CHUNKED + b"\r\n0\r\n", b"A: a\r\n"),
    "a thousand chunks of a byte": Form(CHUNKED + b"\r\n" + b"1\r\na\r\n" * 1000, b"1\r\na\r\n"),
    "large answers, not read": Form(GET % (LARGE, b"") * 20),
    "1000 answers, not read": Form(GET % (b"/ping", b"") * 1000),
    "half a request, then a reset": Form(POST, hold=0.2, reset=True),
}


def attack(port: int, form: Form, count: int) -> None:
    """So many attacking clients, until the process is ended."""

    async def clients() -> None:
        await asyncio.gather(*(_attack(port, form) for _ in range(count)))

    asyncio.run(clients())


async def _attack(port: int, form: Form) -> None:
    loop = asyncio.get_running_loop()
    while True:
        with contextlib.suppress(OSError, TimeoutError), socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            if form.reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.setblocking(False)
            async with asyncio.timeout(form.hold):
                await loop.sock_connect(client, ("127.0.0.1", port))
                await loop.sock_sendall(client, form.first)
                while True:
                    await asyncio.sleep(1)
                    await loop.sock_sendall(client, form.then)
        await asyncio.sleep(0.05)


@dataclass
class Result:
    """What others got: latencies of health checks in seconds, and the images' statuses."""

    health: list[float] = field(default_factory=list)
    lost: int = 0
    images: Counter[int] = field(default_factory=Counter)

    def row(self) -> tuple[str, ...]:
        p50, p99, most = (1000 * np.percentile(self.health, p) for p in (50, 99, 100))
        others = {status: n for status, n in sorted(self.images.items()) if status != 200}
        return (
            *(f"{p50:.0f}", f"{p99:.0f}", f"{most:.0f}"),
            f"{self.lost} of {len(self.health)}",
            f"{self.images[200]}",
            f"{others or ''}",
        )


def observe(url: str, image: str, seconds: float) -> Result:
    """Check the health and classify images for that time."""
    result, end = Result(), time.monotonic() + seconds

    def classify() -> None:
        while time.monotonic() < end:
            try:
                status = requests.post(f"{url}/predict", json={"url": image}, timeout=30)
                result.images[status.status_code] += 1
            except requests.RequestException:
                result.images[0] += 1

    threads = [threading.Thread(target=classify) for _ in range(IMAGE_CLIENTS)]
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        began = time.perf_counter()
        try:
            requests.get(f"{url}/healthz", timeout=TIMEOUT).raise_for_status()
        except requests.RequestException:
            result.lost += 1
        result.health.append(time.perf_counter() - began)
        time.sleep(PAUSE)
    for thread in threads:
        thread.join()
    return result


@contextlib.contextmanager
def attacked(port: int, form: Form, count: int) -> Iterator[None]:
    process = multiprocessing.Process(target=attack, args=(port, form, count), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def measure(checkout: Path, source: ImageSource, form: Form, count: int, seconds: float) -> Result:
    with started(services.gateway_alone(2, checkout), source.small[0]) as running:
        parts = urlsplit(running.url)
        assert parts.port
        with attacked(parts.port, form, count):
            time.sleep(1)
            return observe(f"http://127.0.0.1:{parts.port}", source.small[0], seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("forms", nargs="*", metavar="FORM", help=", ".join(FORMS))
    parser.add_argument("--connections", nargs="+", type=int, default=[100, 400])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--against", metavar="FOLDER", type=Path, help="another checkout")
    options = parser.parse_args()
    checkouts = {"this": services.ROOT}
    if options.against:
        checkouts["other"] = options.against.resolve()
    rows = []
    with image_source() as source:
        for name in options.forms or FORMS:
            for count in options.connections if name != "none" else [0]:
                for which, checkout in checkouts.items():
                    result = measure(checkout, source, FORMS[name], count, options.seconds)
                    rows.append((name, count, which, *result.row()))
                    print(*rows[-1], flush=True)
    head = ("p50, ms", "p99, ms", "most, ms", "lost", "images", "others")
    print(table(("form", "clients", "checkout", *head), rows))


if __name__ == "__main__":
    main()
