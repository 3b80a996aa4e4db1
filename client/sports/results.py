"""Writes results as text, JSON lines or CSV, and reads back which images are done."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from termcolor import colored

Result = Mapping[str, Any]  # a prediction; or source and error
COLUMNS = ("source", "label", "probability", "known", "error")
NAMES = "surrogateescape"  # how names that are no text are written and read
STYLES = {".csv": "csv", ".json": "json", ".jsonl": "json"}  # by the suffix of a file of results


def open_results(path: Path, mode: str) -> IO[str]:
    """Open a file of results; file names in it may be any bytes."""
    return path.open(mode, encoding="utf-8", errors=NAMES, newline="")


class ResultWriter:
    """Writes and flushes each result as it comes, so that an interruption loses none."""

    def __init__(self, file: IO[str], style: str, header: bool = True) -> None:
        self._file, self._style = file, style
        self._csv = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        if style == "csv" and header:
            self._csv.writeheader()

    def write(self, result: Result) -> None:
        """Write a result; a text contains predictions only."""
        if self._style == "json":
            self._file.write(json.dumps(result) + "\n")
        elif self._style == "csv":
            self._csv.writerow(result)
        elif "error" not in result:
            self._file.write(f"{result['source']}: {_describe(result)}\n")
        self._file.flush()


def _describe(result: Result) -> str:
    known = result["known"] is not False
    label = colored(result["label"], "green" if known else "yellow", attrs=["bold"])
    text = f"{label} ({_percent(result['probability'])})"
    return text if known else f"{text}, but probably none of the labels"


def _percent(probability: float) -> str:
    """With one decimal, and 100 % only if it is."""
    return f"{100.0 if probability == 1 else min(100 * probability, 99.9):.1f} %"


def resume(path: Path, style: str, sources: set[str] | None = None) -> set[str]:
    """The sources that a file of results already contains.

    A last line that was cut off is removed from it; so are the errors of the given sources, or of
    all, which are to be tried again.

    Raises:
        ValueError: the file contains something else than results in this style.
        OSError: it cannot be read or replaced.
    """
    content = path.read_bytes() if path.exists() else b""
    complete = content[: content.rfind(b"\n") + 1]
    if not content:
        return set()
    try:
        rows = list(_read_rows(complete.decode(errors=NAMES), style))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} contains something else than results as {style}") from error
    kept = [row for row in rows if row.get("label") or (sources and row["source"] not in sources)]
    if complete != content or kept != rows:
        _replace(path, style, kept)
    return {row["source"] for row in kept}


def _read_rows(text: str, style: str) -> Iterator[Result]:
    if style == "csv":
        reader = csv.DictReader(io.StringIO(text, newline=""))
        if reader.fieldnames is None or tuple(reader.fieldnames) != COLUMNS:
            raise ValueError
        yield from reader
        return
    for row in map(json.loads, text.splitlines() or [""]):
        yield {**row, "source": row["source"]}


def _replace(path: Path, style: str, rows: list[Result]) -> None:
    """Write the rows in the file's place, at once, so that an interruption loses none."""
    new = path.with_name(f"{path.name}.new")
    with open_results(new, "w") as file:
        writer = ResultWriter(file, style)
        for row in rows:
            writer.write(row)
    new.replace(path)
