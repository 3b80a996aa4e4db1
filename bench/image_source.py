"""Serves JPEGs from memory at /N.jpg, for any N, in a process of its own; /N.jpg?broken is cut off.

    python bench/image_source.py PORT random|samples LATENCY

/requests is how often images were asked for.
"""

import asyncio
import contextlib
import io
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import requests
from aiohttp import web
from gateway_testing.ports import free_port
from PIL import Image, ImageFilter
from services import ROOT

SIZES = {"500 px": (500, 375), "2 Mpx": (1920, 1080), "12 Mpx": (4000, 3000)}
SMALL = "500 px"
COUNT = 4  # random images of each size
SAMPLES = sorted((ROOT / "dataset/samples").glob("*.jpg"))


def random_jpeg(width: int, height: int, seed: int = 7) -> bytes:
    """A JPEG that mixes smooth areas and fine detail as a camera's does."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (height // 50, width // 50, 3), np.uint8))
    smooth = coarse.resize((width, height), Image.Resampling.BICUBIC)
    noise = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
    noise = noise.filter(ImageFilter.GaussianBlur(1))
    buffer = io.BytesIO()
    Image.blend(smooth, noise, 0.2).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


class ImageSource:
    """The process that serves the images."""

    def __init__(self, port: int, pid: int) -> None:
        self.port, self.pid = port, pid

    def urls(self, count: int, first: int = 0) -> list[str]:
        return [self._url(f"{number}.jpg") for number in range(first, first + count)]

    def urls_of_size(self, size: str) -> list[str]:
        """The random images of one of SIZES."""
        return self.urls(COUNT, COUNT * list(SIZES).index(size))

    @property
    def small(self) -> list[str]:
        return self.urls_of_size(SMALL)

    def requests(self) -> int:
        """How many images were asked for until now."""
        return int(requests.get(self._url("requests"), timeout=10).text)

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"


@contextlib.contextmanager
def image_source(images: str = "random", latency: float = 0) -> Iterator[ImageSource]:
    """Start the process, and stop it at the end.

    Args:
        images: "random", COUNT of each size in SIZES, or "samples".
        latency: seconds until an answer begins.
    """
    port = free_port()
    process = subprocess.Popen([sys.executable, __file__, str(port), images, str(latency)])
    source = ImageSource(port, process.pid)
    try:
        while process.poll() is None:
            with contextlib.suppress(requests.ConnectionError):
                source.requests()
                break
            time.sleep(0.1)
        else:
            raise RuntimeError("the image source has stopped")
        yield source
    finally:
        process.terminate()
        process.wait()


def link_samples(folder: Path, count: int) -> None:
    """Make a folder of this many images, all of them samples."""
    folder.mkdir()
    for number, sample in zip(range(count), itertools.cycle(SAMPLES), strict=False):
        (folder / f"{number:06}.jpg").symlink_to(sample)


def serve(port: int, images: list[bytes], latency: float) -> None:
    asked = 0

    async def send(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        await asyncio.sleep(latency)
        image = images[int(request.match_info["number"]) % len(images)]
        if "broken" in request.query:
            image = image[: len(image) // 2]
        return web.Response(body=image, content_type="image/jpeg")

    async def count(_: web.Request) -> web.Response:
        return web.Response(text=str(asked))

    app = web.Application()
    app.add_routes([web.get(r"/{number:\d+}.jpg", send), web.get("/requests", count)])
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


def main() -> None:
    port, kind, latency = sys.argv[1:]
    if kind == "samples":
        images = [sample.read_bytes() for sample in SAMPLES]
    else:
        images = [random_jpeg(*size, seed) for size in SIZES.values() for seed in range(COUNT)]
    serve(int(port), images, float(latency))


if __name__ == "__main__":
    main()
