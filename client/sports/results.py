"""Writes results as text, JSON lines or CSV, and reads back which images are done."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

Result = dict[str, Any]
COLUMNS = ("source", "label", "probability", "known", "error")


class ResultWriter:
    """Writes and flushes each result as it comes, so that an interruption loses none."""

    def __init__(self, file: TextIO, style: str, header: bool = True) -> None:
        self._file, self._style = file, style
        self._csv = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        if style == "csv" and header:
            self._csv.writeheader()

    def write(self, result: Result) -> None:
        if self._style == "json":
            self._file.write(json.dumps(result) + "\n")
        elif self._style == "csv":
            self._csv.writerow(result)
        else:
            self._file.write(f"{result['source']}: {_describe(result)}\n")
        self._file.flush()


def _describe(result: Result) -> str:
    if "error" in result:
        return str(result["error"])
    text = f"{result['label']} ({100 * result['probability']:.1f} %)"
    return text if result["known"] is not False else f"{text}, but probably none of the labels"


def read_sources(path: Path, style: str) -> Iterator[str]:
    """The sources that a file of results already contains.

    A last line that was cut off is removed, so that the next result starts a line of its own.
    """
    if not path.exists():
        return
    text = path.read_bytes()
    complete = text[: text.rfind(b"\n") + 1]
    if complete != text:
        path.write_bytes(complete)
    lines = complete.decode().splitlines()
    if style == "json":
        yield from (json.loads(line)["source"] for line in lines)
    else:
        yield from (row["source"] for row in csv.DictReader(lines))
