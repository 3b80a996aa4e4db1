"""Memory of a worker under the largest pictures it takes."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from gateway_testing.drawings import encode
from gateway_testing.fake_serving import FakeServing
from gateway_testing.service import Service, gateway
from PIL import Image

SIDE = 7071  # squared: just below 50 million
GIGABYTE = 1e9


def peak(service: Service) -> float:
    """The most bytes that a worker has held."""
    pid = service.process.pid
    [worker] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    status = Path(f"/proc/{worker}/status").read_text()
    return 1024 * int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc")
@pytest.mark.parametrize("file_format", ["WEBP", "PNG", "GIF", "JPEG"])
def test_the_largest_pictures_are_decoded_one_at_a_time(
    serving: FakeServing, file_format: str, capsys: pytest.CaptureFixture
) -> None:
    options = {"progressive": True, "subsampling": 0} if file_format == "JPEG" else {}
    mode = "L" if file_format == "GIF" else "RGBA" if file_format in ("WEBP", "PNG") else "RGB"
    picture = encode(Image.new(mode, (SIDE, SIDE), "white"), file_format, **options)
    with (
        gateway(serving.host, GATEWAY_MAX_IN_FLIGHT="32") as service,
        ThreadPoolExecutor(32) as pool,
    ):

        def ask(_: int) -> int:
            image = {"Content-Type": "image/*"}
            url = f"{service.url}/predict"
            return requests.post(url, picture, headers=image, timeout=60).status_code

        statuses = list(pool.map(ask, range(32)))
        highest = peak(service)
    with capsys.disabled():
        print(
            f"\n32 x 50 Mpx {file_format}: {statuses.count(200)} answered, {highest / 1e9:.2f} GB"
        )
    assert set(statuses) <= {200, 429, 504}
    assert 200 in statuses
    assert highest < 1.6 * GIGABYTE
