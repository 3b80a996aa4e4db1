"""Serve JPEGs from memory, at /SIZE/NUMBER.jpg, in a process of its own.

python bench/pictures.py PORT
"""

import contextlib
import io
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import requests
import run_local
from aiohttp import web
from PIL import Image, ImageFilter

SIZES = {"500 px": (500, 375), "2 Mpx": (1920, 1080), "12 Mpx": (4000, 3000)}
COUNT = 4  # of each size


def photograph(width: int, height: int, seed: int = 7) -> bytes:
    """A JPEG with a photograph's mix of smooth areas and fine detail."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (height // 50, width // 50, 3), np.uint8))
    smooth = coarse.resize((width, height), Image.Resampling.BICUBIC)
    grain = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
    grain = grain.filter(ImageFilter.GaussianBlur(1))
    buffer = io.BytesIO()
    Image.blend(smooth, grain, 0.2).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


class Source:
    """URLs of the pictures by size, and the process that serves them."""

    def __init__(self, port: int, pid: int) -> None:
        self.pid = pid
        self.urls = {
            size: [f"http://127.0.0.1:{port}/{number}/{index}.jpg" for index in range(COUNT)]
            for number, size in enumerate(SIZES)
        }


@contextlib.contextmanager
def source() -> Iterator[Source]:
    """The server, started and stopped."""
    port = run_local.free_port()
    server = subprocess.Popen([sys.executable, __file__, str(port)])
    try:
        source = Source(port, server.pid)
        for url in itertools.chain.from_iterable(source.urls.values()):
            while True:
                with contextlib.suppress(requests.ConnectionError):
                    requests.get(url, timeout=10).raise_for_status()
                    break
                time.sleep(0.1)
        yield source
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    app = web.Application()
    for number, size in enumerate(SIZES.values()):
        for index in range(COUNT):
            app.router.add_get(f"/{number}/{index}.jpg", _sender(photograph(*size, seed=index)))
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)


def _sender(picture: bytes):
    async def send(_: web.Request) -> web.Response:
        return web.Response(body=picture, content_type="image/jpeg")

    return send


if __name__ == "__main__":
    main()
