"""Preprocessing against a full decode and resize with Pillow, measured alternately.

python bench/preprocessing.py [--rounds 15]
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable

import numpy as np
from image_source import SIZES, random_jpeg
from PIL import Image

from gateway.images import preprocess


def full_decode(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return np.asarray(image.resize((299, 299), Image.Resampling.BILINEAR))


def milliseconds(function: Callable[[bytes], object], data: bytes) -> float:
    began = time.perf_counter()
    function(data)
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(f"{'JPEG':8} {'MB':>5} {'full, ms':>9} {'ours, ms':>9} {'ours/full':>9}")
    for name, size in SIZES.items():
        data = random_jpeg(*size)
        pairs = [
            (milliseconds(full_decode, data), milliseconds(preprocess, data))
            for _ in range(rounds + 1)
        ][1:]  # the first round is a warm-up
        full, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(ours / full for full, ours in pairs)
        print(f"{name:8} {len(data) / 1e6:5.1f} {full:9.1f} {ours:9.1f} {ratio:9.2f}")


if __name__ == "__main__":
    main()
