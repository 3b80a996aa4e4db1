"""Results as they are written: for people, as JSON lines, or as CSV."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

Result = dict[str, Any]
COLUMNS = ("source", "label", "probability", "known", "error")


class Writer:
    """Writes each result at once, so that an interruption loses none."""

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
            self._file.write(f"{result['source']}: {in_words(result)}\n")
        self._file.flush()


def in_words(result: Result) -> str:
    if "error" in result:
        return str(result["error"])
    words = f"{result['label']} ({100 * result['probability']:.1f} %)"
    return words if result["known"] is not False else f"{words}, but probably none of them"


def read_sources(path: Path, style: str) -> Iterator[str]:
    """The sources that a file of results holds already; a line that was cut off does not count.

    Cuts such a line off, so that the next result starts a line of its own.
    """
    if not path.exists():
        return
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        path.write_bytes(whole)
    lines = whole.decode().splitlines()
    if style == "json":
        yield from (json.loads(line)["source"] for line in lines)
    else:
        yield from (row["source"] for row in csv.DictReader(lines))
