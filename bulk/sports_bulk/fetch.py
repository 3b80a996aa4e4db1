"""The first stage: the bytes of each image, from the web, a disk, a bucket or a table."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from gateway.config import Settings
from gateway.errors import (
    GatewayError,
    ImageTooLarge,
    InvalidRequest,
    SourceFailed,
    SourceRefused,
    SourceTimeout,
    TooManyRequests,
)
from gateway.fetcher import Fetcher
from sports_bulk import storage
from sports_bulk.plan import Plan
from sports_bulk.tables import WEB, column_name, split

THREADS = 32  # downloads at once; the gateway's limit for each source's address applies, too
ATTEMPTS = 2  # at a source that fails or is too slow
PATIENCE = 300.0  # seconds for which an image waits for its turn at a busy source
SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("source", pa.string()),
        ("data", pa.large_binary()),
        ("error", pa.string()),
        ("detail", pa.string()),
        ("fetch_seconds", pa.float32()),
    ]
)


@dataclass(frozen=True)
class Failure:
    """Why an image has no prediction: the slug of the service's problem, and its text."""

    error: str
    detail: str


class Fetch:
    """Adds the images' bytes to the parts' rows, or the errors in their place."""

    def __init__(self, plan: Plan, settings: Settings) -> None:
        self._plan, self._settings = plan, settings
        self._fetcher = Fetcher(settings)
        self._threads = ThreadPoolExecutor(THREADS)

    def __call__(self, batch: Any) -> Any:
        """Fetch one part.

        Args:
            batch: a table with one row and the column `part`.

        Returns:
            A table with SCHEMA, `data` or `error` being null in each row.
        """
        [part] = batch.column("part").to_pylist()
        sources = self._plan.sources(part)
        fetched = list(self._threads.map(self._fetch, sources))
        first = part * self._plan.rows_per_part
        rows = [
            {"row": row, "source": source, "data": data, "fetch_seconds": seconds}
            | ({"error": failure.error, "detail": failure.detail} if failure else {})
            for row, (source, (data, failure, seconds)) in enumerate(
                zip(sources, fetched, strict=True), first
            )
        ]
        return pa.Table.from_pylist(rows, SCHEMA)

    def _fetch(self, source: str) -> tuple[bytes | None, Failure | None, float]:
        start = time.monotonic()
        try:
            data, failure = self.read(source), None
        except GatewayError as error:
            data, failure = None, Failure(error.slug, str(error))
        except (OSError, ValueError, pa.ArrowException) as error:
            data, failure = None, Failure(SourceFailed("").slug, str(error))
        return data, failure, time.monotonic() - start

    def read(self, source: str) -> bytes:
        """The bytes of an image.

        Raises:
            GatewayError: it cannot be fetched, or not within the limits of the settings.
            OSError, ValueError, pa.ArrowException: a disk, bucket or table cannot be read.
        """
        if source.lower().startswith(WEB) or ("://" in source and not _stored(source)):
            return self._download(source)
        if not source:
            raise InvalidRequest("The row has neither a URL nor a path.")
        limit = self._settings.max_image_bytes
        inside = split(source)
        try:
            data = (
                _read_cell(*inside, self._plan.column)
                if inside
                else storage.read(source, limit + 1)
            )
        except FileNotFoundError:
            raise SourceRefused("There is no such file.") from None
        if len(data) > limit:
            raise ImageTooLarge(f"The image is larger than {limit} bytes.")
        return data

    def _download(self, url: str) -> bytes:
        until = time.monotonic() + PATIENCE
        attempts = 0
        while True:
            try:
                return self._fetcher.download(url, float("inf"))
            except TooManyRequests:  # we are the ones who keep the source busy
                if time.monotonic() > until:
                    raise
            except (SourceFailed, SourceTimeout):
                attempts += 1
                if attempts == ATTEMPTS:
                    raise


def _stored(source: str) -> bool:
    return source.startswith(storage.SCHEMES)


def _read_cell(table: str, row: int, column: str | None) -> bytes:
    """An image in a Parquet file; of which the last row groups are kept."""
    for group, size in enumerate(_group_sizes(table)):
        if row < size:
            value = _row_group(table, group, column)[row].as_py()
            if value is None:
                raise InvalidRequest("The row has no image.")
            return bytes(value)
        row -= size
    raise SourceRefused("There is no such row.")


@lru_cache(64)
def _group_sizes(table: str) -> list[int]:
    system, path = storage.locate(table)
    with system.open_input_file(path) as opened:
        metadata = parquet.ParquetFile(opened).metadata
        return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


@lru_cache(2)
def _row_group(table: str, group: int, column: str | None) -> Any:
    system, path = storage.locate(table)
    with system.open_input_file(path) as opened:
        file = parquet.ParquetFile(opened)
        name = column_name(table, file.schema_arrow, column)
        return file.read_row_group(group, [name]).column(0)
