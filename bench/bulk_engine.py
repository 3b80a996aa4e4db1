"""What a processor can do at most, in a process of its own: the bulk job without the job.

    python bench/bulk_engine.py model|decode+model

Prints a line when it is ready. Then it reads lines with seconds, computes for that time, and
prints the images a second for each.
"""

import json
import sys
import time
from collections.abc import Callable

import numpy as np
from services import ROOT, VERSION

from gateway.config import Settings
from gateway.images import preprocess
from sports_bulk.classify import AT_ONCE, Model


def make_compute(kind: str) -> Callable[[], object]:
    """A function that does AT_ONCE images."""
    model = Model(VERSION, "int8", Settings())
    samples = sorted((ROOT / "dataset/samples").glob("*.jpg"))
    files = [sample.read_bytes() for sample in samples]
    decoded = [preprocess(data, model.signature.size) for data in files]
    position = 0

    def compute() -> object:
        nonlocal position
        chosen = [(position + index) % len(files) for index in range(AT_ONCE)]
        position += AT_ONCE
        if kind == "model":
            return model.predict(np.stack([decoded[index] for index in chosen]))
        pixels = [preprocess(files[index], model.signature.size) for index in chosen]
        return model.predict(np.stack(pixels))

    return compute


def rate(compute: Callable[[], object], seconds: float) -> float:
    """Images a second."""
    count, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        compute()
        count += AT_ONCE
    return count / passed


def main() -> None:
    compute = make_compute(sys.argv[1])
    compute()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"rate": rate(compute, float(line))}), flush=True)


if __name__ == "__main__":
    main()
