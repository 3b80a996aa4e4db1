"""Decoding in processes of their own."""

import os
import signal
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from fuzz_images import fuzz
from gateway_testing.drawings import encode, gradient
from gateway_testing.waiting import wait_for
from hostile import (
    EXIF_LOOP,
    bmp_of_one_line,
    gif_of_comments,
    jpeg_of_scans,
    jpeg_of_segments,
    png_of_chunks,
)
from PIL import Image

import gateway.decoders
from gateway import decoder_template
from gateway.decoders import Decoders
from gateway.errors import (
    DecodeTimeout,
    ImageTooExpensive,
    ImageTooLarge,
    TooManyRequests,
    UnsupportedImage,
)
from gateway.images import FORMATS, MAX_PIXELS, preprocess
from gateway.metrics import Metrics

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def _background_is_not_starved(monkeypatch: pytest.MonkeyPatch) -> None:
    """At its own niceness it would take minutes on a busy machine."""
    monkeypatch.setattr(gateway.decoders, "BACKGROUND_NICENESS", 1)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def decoders(metrics: Metrics) -> Iterator[Decoders]:
    decoders = Decoders(2, 0.5, 2, metrics)
    yield decoders
    decoders.close()


def decode(
    decoders: Decoders, data: bytes, seconds: float = 100.0, client: str = "a"
) -> np.ndarray:
    return decoders.decode(data, (40, 60), MAX_PIXELS, time.monotonic() + seconds, client)


def test_pixels_are_those_of_preprocess(decoders: Decoders) -> None:
    for file_format in (*FORMATS, "MPO"):
        for image in (gradient(), gradient().convert("L"), gradient().convert("P")):
            if image.mode == "P" and file_format not in ("PNG", "GIF", "BMP"):
                continue
            data = encode(image, file_format)
            np.testing.assert_array_equal(decode(decoders, data), preprocess(data, (40, 60)))


def test_errors_are_those_of_preprocess(decoders: Decoders) -> None:
    with pytest.raises(UnsupportedImage, match="not a readable JPEG") as error:
        decode(decoders, b"no image")
    assert "cannot identify" in str(error.value.__cause__)
    with pytest.raises(ImageTooLarge, match="more than 50 pixels"):
        decoders.decode(encode(gradient()), (9, 9), 50, time.monotonic() + 60, "a")


def test_too_much_processor_time_is_refused(decoders: Decoders, metrics: Metrics) -> None:
    with pytest.raises(ImageTooExpensive, match="processor time"):
        decode(decoders, bmp_of_one_line())
    assert b'gateway_decoders_ended_total{reason="processor time"} 2.0' in metrics.text()
    assert decode(decoders, encode(gradient())).shape == (40, 60, 3)


def test_work_that_grows_with_the_parts_of_a_file_is_bounded(metrics: Metrics) -> None:
    """Files of one class, of which each costs a decoder without limits seconds or minutes."""
    with closing(Decoders(2, 0.1, 2, metrics)) as decoders:
        for data in (
            jpeg_of_segments(0xE1, EXIF_LOOP, 4_000_000),
            jpeg_of_segments(0xFE, b"", 15_000_000),
            jpeg_of_scans(1_000, side=3000),
            png_of_chunks(b"tEXt", b"a\0b", 15_000_000),
            png_of_chunks(b"iCCP", b"a\0\0" + zlib.compress(bytes(50_000)), 10_000_000),
            bmp_of_one_line(bits=4),
        ):
            with pytest.raises((ImageTooExpensive, UnsupportedImage)):
                decode(decoders, data)
        assert decode(decoders, encode(gradient())).shape == (40, 60, 3)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux' limit of memory")
def test_too_much_memory_is_refused() -> None:
    with (
        closing(Decoders(1, 60.0, 2, Metrics())) as decoders,
        pytest.raises(ImageTooExpensive, match="memory"),
    ):
        decode(decoders, gif_of_comments(19_000_000))


def test_an_image_is_given_up_at_the_deadline(decoders: Decoders, metrics: Metrics) -> None:
    decode(decoders, encode(gradient()))
    with pytest.raises(DecodeTimeout):
        decode(decoders, bmp_of_one_line(), seconds=0.001)
    assert b'gateway_decoders_ended_total{reason="deadline"} 1.0' in metrics.text()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_dead_decoder_is_replaced(decoders: Decoders, number: signal.Signals) -> None:
    decode(decoders, encode(gradient()))
    os.kill(decoders._quick.idle[0].pid, number)
    if number == signal.SIGSEGV:  # as if the file had done it
        with pytest.raises(UnsupportedImage):
            decode(decoders, encode(gradient()))
    assert decode(decoders, encode(gradient())).shape == (40, 60, 3)


def test_a_dead_template_is_replaced(decoders: Decoders) -> None:
    decode(decoders, encode(gradient()))
    template = decoders._template._process
    assert template
    template.kill()
    template.wait()
    for _ in range(2):
        assert decode(decoders, encode(gradient())).shape == (40, 60, 3)


# Commands of templates that die, and of one whose decoders die when they cannot read /proc.
BROKEN = {
    "no template": (sys.executable, "-c", ""),
    "no decoder": (
        *(sys.executable, "-P", "-c"),
        "from gateway import decoder, sandbox; del sandbox._address_space; decoder.main()",
    ),
}


@pytest.mark.parametrize("command", BROKEN.values(), ids=BROKEN)
def test_decoders_that_cannot_start_are_a_503(
    client: FlaskClient, jpeg: bytes, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(decoder_template, "COMMAND_LINE", command)
    answer = client.post("/predict", data=jpeg, content_type="image/jpeg")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json
    assert answer.json["title"] == "Decoder unavailable"


def test_waiting_in_vain_is_told_apart_from_expensive_images(metrics: Metrics) -> None:
    with (
        closing(Decoders(1, 0.5, 2, metrics)) as decoders,
        decoders._quick.slots.acquire("a", time.monotonic() + 60),
        pytest.raises(TooManyRequests, match="not decoded in time"),
    ):
        decode(decoders, encode(gradient()), seconds=0.01)


def test_no_process_is_left(decoders: Decoders) -> None:
    decode(decoders, encode(gradient()))
    pid = decoders._quick.idle[0].pid
    decoders.close()
    wait_for(lambda: not is_alive(pid))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_expensive_images_wait_for_each_other_only(decoders: Decoders) -> None:
    with ThreadPoolExecutor(3) as pool:
        hostile = [pool.submit(decode, decoders, bmp_of_one_line(), client=c) for c in "abb"]
        while not all(future.done() for future in hostile):
            assert decode(decoders, encode(gradient()), client="c").shape == (40, 60, 3)
            time.sleep(0.05)  # the expensive ones have the processor when nobody else wants it
        errors = [future.exception() for future in hostile]
    assert {type(error) for error in errors} <= {ImageTooExpensive, TooManyRequests}


def test_many_threads_decode_at_once(decoders: Decoders) -> None:
    images = [Image.new("RGB", (50, 50), (i, 0, 0)) for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda image: decode(decoders, encode(image, "PNG")), images))
    assert [int(pixels[0, 0, 0]) for pixels in found] == list(range(40))
    assert len(decoders._quick.idle) <= 2
    assert threading.active_count() < 40


def test_damaged_images_are_decoded_or_refused() -> None:
    assert fuzz(seed=1, numbers=range(50), seconds=600).outcomes.total() == 50
