"""Files that are expensive to decode, against the whole gateway."""

import contextlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from gateway_testing.fake_serving import FakeServing
from gateway_testing.service import Service, gateway, predict
from hostile import bmp_of_one_line, gif_of_comments

FILES = {"BMP": bmp_of_one_line(), "GIF": gif_of_comments(5_000_000)}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    serving = FakeServing()
    with gateway(serving.host) as service:
        yield service
    serving.stop()


@pytest.mark.parametrize("name", FILES)
def test_other_images_are_answered_meanwhile(service: Service, jpeg: bytes, name: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        hostile = [pool.submit(predict, service, FILES[name]) for _ in range(4)]
        others = []
        while not all(future.done() for future in hostile):
            others.append(predict(service, jpeg).status_code)
            time.sleep(0.05)  # the expensive ones have the processor when nobody else wants it
    assert {future.result().status_code for future in hostile} <= {200, 413, 429, 504}
    assert others.count(200) >= 0.9 * len(others) > 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc")
def test_a_decoder_has_no_rights(service: Service, jpeg: bytes) -> None:
    assert predict(service, jpeg).status_code == 200
    [worker] = children(service.process.pid)
    [template] = children(worker)
    [decoder, *_] = children(template)
    status = Path(f"/proc/{decoder}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status or os.uname().machine not in ("x86_64", "aarch64")
    limits = Path(f"/proc/{decoder}/limits").read_text()
    rows = {line[:25].strip(): line[25:].split()[0] for line in limits.splitlines()[1:]}
    assert rows["Max open files"] == "3"
    assert rows["Max processes"] == rows["Max file size"] == rows["Max core file size"] == "0"
    assert int(rows["Max address space"]) < 1_000_000_000


def test_the_decoders_end_with_a_killed_worker(service: Service, jpeg: bytes) -> None:
    assert predict(service, jpeg).status_code == 200
    [worker] = children(service.process.pid)
    [template] = children(worker)
    left = [template, *children(template)]
    os.kill(worker, 9)
    while any(Path(f"/proc/{pid}").exists() for pid in left):
        with contextlib.suppress(requests.RequestException):
            predict(service, jpeg)


def children(pid: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
