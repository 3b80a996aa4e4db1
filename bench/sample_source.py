"""Serves the sample images as slowly as sources on the web do, in a process of its own.

    python bench/sample_source.py PORT

/N.jpg is a sample, for any N; /requests is how often images were asked for.
"""

import asyncio
import contextlib
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import requests
from aiohttp import web
from gateway_testing.ports import free_port
from services import ROOT

LATENCY = 0.05  # seconds
SAMPLES = sorted((ROOT / "dataset/samples").glob("*.jpg"))


class SampleSource:
    """The process that serves the samples."""

    def __init__(self, port: int) -> None:
        self.port = port

    def urls(self, count: int) -> list[str]:
        return [f"http://127.0.0.1:{self.port}/{number}.jpg" for number in range(count)]

    def requests(self) -> int:
        """How many images were asked for until now."""
        return int(requests.get(f"http://127.0.0.1:{self.port}/requests", timeout=10).text)


@contextlib.contextmanager
def sample_source() -> Iterator[SampleSource]:
    """Start the process, and stop it at the end."""
    source = SampleSource(free_port())
    process = subprocess.Popen([sys.executable, __file__, str(source.port)])
    try:
        while process.poll() is None:
            with contextlib.suppress(requests.ConnectionError):
                source.requests()
                break
            time.sleep(0.1)
        else:
            raise RuntimeError("the source of images has stopped")
        yield source
    finally:
        process.terminate()
        process.wait()


def link_samples(folder: Path, count: int) -> None:
    """Make a folder of this many images, all of them samples."""
    folder.mkdir()
    for number, sample in zip(range(count), itertools.cycle(SAMPLES), strict=False):
        (folder / f"{number:06}.jpg").symlink_to(sample)


def main() -> None:
    images = [sample.read_bytes() for sample in SAMPLES]
    asked = 0

    async def send(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        await asyncio.sleep(LATENCY)
        image = images[int(request.match_info["number"]) % len(images)]
        return web.Response(body=image, content_type="image/jpeg")

    async def count(_: web.Request) -> web.Response:
        return web.Response(text=str(asked))

    app = web.Application()
    app.add_routes([web.get(r"/{number:\d+}.jpg", send), web.get("/requests", count)])
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


if __name__ == "__main__":
    main()
