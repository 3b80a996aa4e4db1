"""What is to be classified: each image's source, from a folder, a list or a table."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
from pyarrow import csv, json, parquet

from sports_bulk.storage import SCHEMES, is_folder, locate, sibling, walk

IMAGES = {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp"}
TABLES = {".csv", ".jsonl", ".ndjson", ".json", ".parquet"}
LISTS = {".txt", ".urls", ".lst"}
# The first of these that a table has is the one, unless another is asked for.
COLUMNS = ("url", "image_url", "uri", "path", "file", "filename", "source", "image", "bytes")
ROW = "#row="  # between a table's name and a row in it, of an image inside the table
WEB = ("http://", "https://")


class InvalidInput(Exception):
    """The input is not one that can be classified; the text says why."""


def sources(uri: str, column: str | None = None) -> Iterator[str]:
    """The source of each image, always in the same order.

    Args:
        uri: a folder of images, of tables, or of folders; a list of URLs or paths; a CSV,
            JSON lines or Parquet file. A local path, or one in a bucket.
        column: of the tables; without it, the first of COLUMNS that they have.

    Returns:
        URLs and paths; for images inside a Parquet file, its path with ROW and a number.

    Raises:
        InvalidInput: there are neither images nor tables, or a table lacks the column.
        FileNotFoundError
    """
    if not is_folder(uri):
        yield from _of_file(uri, column)
        return
    found = False
    for file in walk(uri):
        suffix = _suffix(file)
        if suffix in IMAGES:
            yield file
        elif suffix in TABLES:
            yield from _of_file(file, column)
        found = found or suffix in IMAGES | TABLES
    if not found:
        raise InvalidInput(f"{uri} contains neither images nor tables")


def split(source: str) -> tuple[str, int] | None:
    """Table and row of an image inside a table; None for any other source."""
    table, mark, row = source.rpartition(ROW)
    return (table, int(row)) if mark and row.isdecimal() else None


def _suffix(file: str) -> str:
    return PurePosixPath(file).suffix.lower()


def _of_file(file: str, column: str | None) -> Iterator[str]:
    suffix = _suffix(file)
    if suffix in IMAGES:
        yield file
        return
    if suffix not in TABLES | LISTS:
        raise InvalidInput(f"{file} is not an image, a list (.txt) or a table ({_known()})")
    try:
        for value in _values(file, suffix, column):
            yield _resolved(file, "" if value is None else str(value))
    except pa.ArrowInvalid as error:
        raise InvalidInput(f"{file} cannot be read: {error}") from error


def _values(file: str, suffix: str, column: str | None) -> Iterator[object]:
    """The lines of a list, or the column of a table."""
    system, path = locate(file)
    if suffix == ".parquet":
        yield from _of_parquet(file, system, path, column)
        return
    with system.open_input_stream(path) as stream:
        if suffix in LISTS:
            yield from _lines(stream)
            return
        for batch in csv.open_csv(stream) if suffix == ".csv" else json.open_json(stream):
            name = column_name(file, batch.schema, column)
            yield from batch.column(batch.schema.get_field_index(name)).to_pylist()


def _known() -> str:
    return ", ".join(sorted(TABLES))


def _lines(stream: Any) -> Iterator[str]:
    rest = b""
    while chunk := stream.read(1 << 20):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from filter(None, (line.decode(errors="replace").strip() for line in lines))
    yield from filter(None, [rest.decode(errors="replace").strip()])


def _of_parquet(file: str, system: Any, path: str, column: str | None) -> Iterator[object]:
    with system.open_input_file(path) as opened:
        table = parquet.ParquetFile(opened)
        name = column_name(file, table.schema_arrow, column)
        if is_binary(table.schema_arrow.field(name).type):
            yield from (f"{file}{ROW}{row}" for row in range(table.metadata.num_rows))
            return
        for batch in table.iter_batches(columns=[name]):
            yield from batch.column(0).to_pylist()


def is_binary(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def column_name(file: str, schema: Any, wanted: str | None) -> str:
    """The column with the images' sources or bytes.

    Raises:
        InvalidInput: the table has no such column.
    """
    for name in (wanted,) if wanted else COLUMNS:
        if name in schema.names:
            return str(name)
    has = ", ".join(schema.names)
    raise InvalidInput(f"{file} has no column {wanted or ' or '.join(COLUMNS)}; it has {has}")


def _resolved(table: str, source: str) -> str:
    if source.startswith((*WEB, *SCHEMES)) or not source or "://" in source:
        return source
    return sibling(table, source)
