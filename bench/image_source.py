"""Serves JPEGs from memory, at /SIZE/NUMBER.jpg, in a process of its own.

python bench/image_source.py PORT
"""

import contextlib
import io
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator

import numpy as np
import requests
from aiohttp import web
from gateway_testing.ports import free_port
from PIL import Image, ImageFilter

SIZES = {"500 px": (500, 375), "2 Mpx": (1920, 1080), "12 Mpx": (4000, 3000)}
SMALL = "500 px"
COUNT = 4  # of each size


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
    """URLs of the images by size, and the process that serves them."""

    def __init__(self, port: int, pid: int) -> None:
        self.pid = pid
        self.urls = {
            size: [f"http://127.0.0.1:{port}/{number}/{index}.jpg" for index in range(COUNT)]
            for number, size in enumerate(SIZES)
        }
        self.small = self.urls[SMALL]


@contextlib.contextmanager
def image_source() -> Iterator[ImageSource]:
    """Starts the process, and stops it at the end."""
    port = free_port()
    server = subprocess.Popen([sys.executable, __file__, str(port)])
    try:
        source = ImageSource(port, server.pid)
        while not _answers(source.small[0]):
            if server.poll() is not None:
                raise RuntimeError("the image source has stopped")
            time.sleep(0.1)
        yield source
    finally:
        server.terminate()
        server.wait()


def _answers(url: str) -> bool:
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(url, timeout=10).ok
    return False


def main() -> None:
    app = web.Application()
    for number, size in enumerate(SIZES.values()):
        for index in range(COUNT):
            path = f"/{number}/{index}.jpg"
            app.router.add_get(path, _sender(random_jpeg(*size, seed=index)))
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)


def _sender(image: bytes) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def send(_: web.Request) -> web.Response:
        return web.Response(body=image, content_type="image/jpeg")

    return send


if __name__ == "__main__":
    main()
