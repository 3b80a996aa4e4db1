"""The bulk job as one would write it with multiprocessing alone.

    python bench/bulk_plain.py LIST OUT

The same fetcher, preprocessing and model, a file for each 64 rows; but it cannot go on where it
was stopped, a hostile file can end it, and there is neither progress nor report.
"""

import multiprocessing
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from services import VERSION

from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.fetcher import Fetcher
from gateway.images import preprocess
from sports_bulk.classify import AT_ONCE, Model
from sports_bulk.predictions import columns

ROWS = 64  # for each file
DOWNLOADS = 8  # at once, in each process


class Worker:
    """What a process loads once."""

    def __init__(self) -> None:
        self.model = Model(VERSION, "int8", Settings.from_env())
        self.fetcher = Fetcher(Settings.from_env())
        self.threads = ThreadPoolExecutor(DOWNLOADS)

    def classify(self, sources: list[str]) -> list[dict[str, object]]:
        images = list(self.threads.map(self._read, sources))
        good = [image for image in images if isinstance(image, np.ndarray)]
        predictions = iter(
            prediction
            for start in range(0, len(good), AT_ONCE)
            for prediction in self.model.predict(np.stack(good[start : start + AT_ONCE]))
        )
        return [
            {"source": source}
            | columns(next(predictions) if isinstance(image, np.ndarray) else image)
            for source, image in zip(sources, images, strict=True)
        ]

    def _read(self, source: str) -> np.ndarray | GatewayError:
        try:
            if source.startswith("http"):
                data = self.fetcher.download(source, float("inf"))
            else:
                data = Path(source).read_bytes()
            return preprocess(data, self.model.signature.size)
        except GatewayError as error:
            return error


worker: Worker


def begin() -> None:
    global worker
    worker = Worker()


def classify(part: tuple[int, list[str], Path]) -> None:
    number, sources, output = part
    table = pa.Table.from_pylist(worker.classify(sources))
    parquet.write_table(table, output / f"part-{number:08}.parquet", compression="zstd")


def main() -> None:
    sources = Path(sys.argv[1]).read_text().split()
    output = Path(sys.argv[2]) / "predictions"
    output.mkdir(parents=True)
    parts = [
        (number, sources[start : start + ROWS], output)
        for number, start in enumerate(range(0, len(sources), ROWS))
    ]
    with multiprocessing.get_context("spawn").Pool(initializer=begin) as pool:
        for _ in pool.imap_unordered(classify, parts):
            pass


if __name__ == "__main__":
    main()
