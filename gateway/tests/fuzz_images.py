"""Feed the decoders with broken images for as long as wanted, and show which was the slowest.

    nice python gateway/tests/fuzz_images.py [--seconds 1800] [--seed 0] [--only NUMBER]

Each image is one that Pillow has written, damaged at random; its number brings it back. Add what is
found to test_image_attacks.py.
"""

import argparse
import io
import itertools
import random
import struct
import sys
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
from PIL import Image

from gateway.decoders import Decoders
from gateway.errors import ImageTooExpensive, ImageTooLarge, UnsupportedImage
from gateway.images import FORMATS, MAX_PIXELS
from gateway.metrics import Metrics

MAX_SECONDS = 2.0  # of processor time for one image
MAX_BYTES = 2_000_000  # of a damaged image
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16", "I", "YCbCr")
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"progressive": True, "quality": 30},
    {"lossless": True},
    {"interlace": True, "transparency": 0},
    {"save_all": True, "append_images": [Image.new("RGB", (9, 5), "red")] * 2},
    {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"},
    {"icc_profile": bytes(300)},
)
INTEGERS = (0, 1, 127, 128, 255, 256, 4096, 32767, 65535, 1 << 20, 0x7FFFFFFF, 0xFFFFFFFF)
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass
class Report:
    """How the images fared; `slowest` has seconds of processor time and the image's number."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, 0)


def fuzz(seed: int, numbers: "itertools.count[int] | range", seconds: float) -> Report:
    """Decode the images of these numbers, until the time is over.

    Raises:
        AssertionError, or whatever else the decoders must not do.
    """
    report, until = Report(), time.monotonic() + seconds
    originals = write_images()
    decoders = Decoders(1, 1.8, 2, Metrics())
    decoders.start()
    try:
        template = decoders._quick.idle[0].template
        assert template
        process = psutil.Process(template.pid)
        used = processor_seconds(process)
        for number in numbers:
            data = damage(originals, random.Random(f"{seed} {number}"))
            try:
                report.outcomes[check(decoders, data)] += 1
            except Exception as error:
                raise AssertionError(f"image {number} of seed {seed}") from error
            before, used = used, processor_seconds(process)
            report.slowest = max(report.slowest, (used - before, number))
            if time.monotonic() > until:
                break
    finally:
        decoders.close()
    return report


def check(decoders: Decoders, data: bytes) -> str:
    try:
        image = decoders.decode(data, (40, 60), MAX_PIXELS, time.monotonic() + 600, "")
    except (ImageTooExpensive, ImageTooLarge, UnsupportedImage) as error:
        return error.slug
    assert image.shape == (40, 60, 3), image.shape
    assert image.dtype == np.uint8, image.dtype
    return "decoded"


def processor_seconds(template: psutil.Process) -> float:
    """Processor time of the template and of all decoders, also of those that have ended."""
    times = [template.cpu_times(), *(child.cpu_times() for child in template.children())]
    ended = times[0].children_user + times[0].children_system
    return float(ended + sum(each.user + each.system for each in times))


def write_images() -> list[bytes]:
    """An image of each format, mode and option that Pillow can write, small and larger."""
    images = []
    gradient = Image.linear_gradient("L")
    kinds = itertools.product([(23, 17), (160, 120)], FORMATS, MODES, OPTIONS)
    for size, name, mode, options in kinds:
        image = Image.new("I;16", size, 700) if mode == "I;16" else None
        file = io.BytesIO()
        try:
            (image or gradient.resize(size).convert(mode)).save(file, name, **options)
        except Exception:  # not every format has every mode and option
            continue
        images.append(file.getvalue())
    return images


def damage(originals: list[bytes], rng: random.Random) -> bytes:
    data = bytearray(rng.choice(originals))
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        start = (
            rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(min(64, len(data)))
        )
        match rng.randrange(6):
            case 0:
                data[start] ^= 1 << rng.randrange(8)
            case 1:
                data[start] = rng.randrange(256)
            case 2:  # a number
                number = struct.pack(rng.choice("<>") + "I", rng.choice(INTEGERS))
                width = rng.choice((2, 3, 4))
                data[start : start + width] = number[:width]
            case 3:  # a chain
                part = data[start : start + rng.randrange(1, 200)]
                data[start:start] = part * min(rng.choice((1, 10, 10_000)), MAX_BYTES // len(part))
            case 4:  # a piece of another image
                other = rng.choice(originals)
                cut = rng.randrange(len(other))
                data[start : start + 100] = other[cut : cut + 100]
            case _:
                if rng.random() < 0.2:
                    del data[start + 1 :]
        del data[MAX_BYTES:]
    return bytes(with_checksums(data) if rng.random() < 0.7 else data)


def with_checksums(data: bytearray) -> bytearray:
    """Correct the checksums of a PNG's chunks, without which nothing in them is read."""
    start = len(PNG)
    while data.startswith(PNG) and start + 12 <= len(data):
        end = start + 8 + int.from_bytes(data[start : start + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(data[start + 4 : end]).to_bytes(4, "big")
        start = end + 4
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of a single image")
    options = parser.parse_args()
    one = options.only
    numbers = itertools.count() if one is None else range(one, one + 1)
    report = fuzz(options.seed, numbers, options.seconds)
    seconds, number = report.slowest
    print(f"{report.outcomes.total()} images: {dict(report.outcomes)}")
    print(f"the slowest took {seconds:.2f} s of processor time: number {number}")
    if seconds > MAX_SECONDS:
        sys.exit("too slow")


if __name__ == "__main__":
    main()
