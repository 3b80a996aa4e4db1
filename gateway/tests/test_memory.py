"""Memory of a worker under the largest images that it accepts."""

import re
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
# Of each format the mode, options that make it quick to write or costly to read, and a limit in
# megabytes: enough for one image at a time, too little for three.
CASES: dict[str, tuple[str, dict[str, Any], int]] = {
    "WEBP": ("RGBA", {"method": 0}, 1400),
    "PNG": ("RGBA", {"compress_level": 1}, 1000),
    "GIF": ("L", {}, 500),
    "JPEG": ("RGB", {"progressive": True, "subsampling": 0}, 600),
}

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux' /proc"),
    pytest.mark.timeout(240),
]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    serving = FakeServing()
    with gateway(serving.host, GATEWAY_MAX_IN_FLIGHT="32") as service:
        yield service
    serving.stop()


def worker(service: Service) -> Path:
    pid = service.process.pid
    [child] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return Path(f"/proc/{child}")


def reset_peak(service: Service) -> None:
    (worker(service) / "clear_refs").write_text("5")  # proc(5): sets VmHWM to the current size


def peak(service: Service) -> float:
    """The most megabytes that the worker has held since the peak was reset."""
    status = (worker(service) / "status").read_text()
    return 1024 * int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1e6


@pytest.mark.parametrize("file_format", CASES)
def test_the_largest_images_are_decoded_one_at_a_time(
    service: Service, file_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mode, options, megabytes = CASES[file_format]
    image = encode(Image.new(mode, (SIDE, SIDE), "white"), file_format, **options)
    url = f"{service.url}/predict"

    def status(_: int) -> int:
        headers = {"Content-Type": "image/*"}
        return requests.post(url, image, headers=headers, timeout=120).status_code

    reset_peak(service)
    with ThreadPoolExecutor(IMAGES) as pool:
        statuses = list(pool.map(status, range(IMAGES)))
    highest = peak(service)
    with capsys.disabled():
        answered = statuses.count(200)
        print(f"\n{IMAGES} x 50 Mpx {file_format}: {answered} answered, {highest:.0f} MB")
    assert set(statuses) <= {200, 429, 504}
    assert 200 in statuses
    assert highest < megabytes
