"""Memory of one gateway worker, and the time until it answers.

    python bench/worker_memory.py [--predictions 100]

The worker runs in front of a model server that answers at once.
"""

import argparse

import psutil
import requests
import services
from gateway_alone import worker
from image_source import image_source
from processes import started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictions", type=int, default=100)
    predictions = parser.parse_args().predictions
    with image_source() as source, started(services.gateway_alone(1), source.small[0]) as running:
        process = worker(running)
        print(f"first answer after {running.ready:.2f} s, resident {_megabytes(process):.1f} MB")
        for number in range(predictions):
            image = source.small[number % len(source.small)]
            requests.post(running.url, json={"url": image}, timeout=60).raise_for_status()
        print(f"after {predictions} more answers, resident {_megabytes(process):.1f} MB")


def _megabytes(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 1e6


if __name__ == "__main__":
    main()
