"""The plan of a job: the rows in their order, cut into parts that are done as a whole.

In the output folder:
    plan.json                          what the job is; written once all rows are
    plan/rows-000000.parquet           `source` of each row, one row group for each part
    predictions/part-00000000.parquet  what a part's images show, or the errors in their place

A part is done when its file is there. What was begun and is not done leaves nothing behind, so that
a job that was killed goes on by doing the parts that have no file.
"""

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

import pyarrow as pa
from pyarrow import parquet

from sports_bulk import storage
from sports_bulk.tables import InvalidInput, sources

PARTS_PER_FILE = 256
PLAN, PREDICTIONS = "plan.json", "predictions"
SCHEMA = pa.schema([("source", pa.string())])


@dataclass(frozen=True)
class Plan:
    """What a job does.

    Attributes:
        input: as `tables.sources` takes it, with the column.
        output: the folder.
        rows: how many there are.
        rows_per_part: the last part can have fewer.
        model: the version's folder, and the precision, so that all rows are computed alike.
    """

    input: str
    column: str | None
    output: str
    rows: int
    rows_per_part: int
    model: str
    precision: str

    @property
    def parts(self) -> int:
        return -(-self.rows // self.rows_per_part)

    def missing(self) -> list[int]:
        """The parts that are not done."""
        names = storage.names(storage.join(self.output, PREDICTIONS))
        found = (re.fullmatch(r"part-(\d+)\.parquet", name) for name in names)
        done = {int(match[1]) for match in found if match}
        return [part for part in range(self.parts) if part not in done]

    def rows_of(self, parts: Iterable[int]) -> int:
        last = self.parts - 1
        rest = self.rows - last * self.rows_per_part
        return sum(rest if part == last else self.rows_per_part for part in parts)

    def sources(self, part: int) -> list[str]:
        """The sources of a part's rows."""
        file, group = divmod(part, PARTS_PER_FILE)
        system, path = storage.locate(_rows_file(self.output, file))
        with system.open_input_file(path) as opened:
            table = parquet.ParquetFile(opened).read_row_group(group)
        return [str(source) for source in table.column("source").to_pylist()]

    def predictions_file(self, part: int) -> str:
        return storage.join(self.output, PREDICTIONS, f"part-{part:08d}.parquet")


def make_plan(
    uri: str, column: str | None, output: str, rows_per_part: int, model: str, precision: str
) -> Plan:
    """The plan in the output folder, or a new one.

    Raises:
        InvalidInput: the folder has the plan of another job, or there is nothing to classify.
        FileNotFoundError: there is no input.
    """
    uri, output = storage.absolute(uri), storage.absolute(output)
    wanted = Plan(uri, column, output, 0, rows_per_part, model, precision)
    if PLAN in storage.names(output):
        plan = Plan(**json.loads(storage.read(storage.join(output, PLAN))))
        for name, value in asdict(wanted).items():
            planned = getattr(plan, name)
            if name not in ("rows", "rows_per_part", "output") and value != planned:
                raise InvalidInput(
                    f"{output} belongs to a job with {name} {planned}, not {value}: "
                    "choose another folder"
                )
        return Plan(**{**asdict(plan), "output": output})
    rows = _write_rows(output, sources(uri, column), rows_per_part)
    if not rows:
        raise InvalidInput(f"{uri} has no rows")
    plan = Plan(**{**asdict(wanted), "rows": rows})
    storage.write(storage.join(output, PLAN), json.dumps(asdict(plan), indent=2).encode())
    return plan


def _rows_file(output: str, number: int) -> str:
    return storage.join(output, "plan", f"rows-{number:06d}.parquet")


def _write_rows(output: str, rows: Iterator[str], rows_per_part: int) -> int:
    """Write the sources, one row group a part; in memory is one file of them at a time."""
    count = 0
    for number in itertools.count():
        chunk = list(itertools.islice(rows, rows_per_part * PARTS_PER_FILE))
        if not chunk:
            return count
        buffer = pa.BufferOutputStream()
        table = pa.table({"source": chunk}, SCHEMA)
        parquet.write_table(table, buffer, row_group_size=rows_per_part, compression="zstd")
        storage.write(_rows_file(output, number), memoryview(buffer.getvalue()))
        count += len(chunk)
    raise AssertionError("unreachable")
