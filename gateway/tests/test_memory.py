"""Memory under the largest images that are accepted."""

import contextlib
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from gateway_testing.drawings import encode
from gateway_testing.fake_serving import FakeServing
from gateway_testing.service import Service, gateway
from PIL import Image

SIDE = 7071  # squared: just below 50 million
IMAGES = 3
MEGABYTES = 600  # the most that a process may take
# Of each format the mode, and options that make it quick to write or costly to read.
CASES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "WEBP": ("RGBA", 5000, {"method": 0}),  # squared: what is accepted of WebP
    "PNG": ("RGBA", SIDE, {"compress_level": 1}),
    "GIF": ("L", SIDE, {}),
    "JPEG": ("RGB", SIDE, {"progressive": True, "subsampling": 0}),
}

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux' /proc"),
    pytest.mark.timeout(240),
]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    serving = FakeServing()
    with gateway(serving.host, GATEWAY_MAX_IN_FLIGHT="32", GATEWAY_DECODE_SECONDS="20") as service:
        yield service
    serving.stop()


def children(pid: int) -> list[int]:
    found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [each for child in found for each in (child, *children(child))]


class Peak:
    """Watches the memory of the service's processes, the decoders included."""

    def __init__(self, service: Service) -> None:
        self.megabytes = 0.0
        self._pid = service.process.pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            with contextlib.suppress(OSError):  # a process that ends meanwhile
                for pid in children(self._pid):
                    status = Path(f"/proc/{pid}/status").read_text()
                    [kilobytes] = re.findall(r"VmHWM:\s+(\d+) kB", status) or [0]
                    self.megabytes = max(self.megabytes, 1024 * int(kilobytes) / 1e6)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.mark.parametrize("file_format", CASES)
def test_the_largest_images_are_decoded_within_the_memory_limit(
    service: Service, file_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mode, side, options = CASES[file_format]
    image = encode(Image.new(mode, (side, side), "white"), file_format, **options)
    url = f"{service.url}/predict"

    def status(_: int) -> int:
        headers = {"Content-Type": "image/*"}
        return requests.post(url, image, headers=headers, timeout=120).status_code

    with Peak(service) as peak, ThreadPoolExecutor(IMAGES) as pool:
        statuses = list(pool.map(status, range(IMAGES)))
    with capsys.disabled():
        print(f"\n{IMAGES} x {side} px {file_format}: {statuses}, {peak.megabytes:.0f} MB")
    assert set(statuses) <= {200, 429, 504}
    assert 200 in statuses
    assert 0 < peak.megabytes < MEGABYTES
