"""What a job has written."""

from pathlib import Path
from typing import Any

from pyarrow import parquet


def predictions(output: Path) -> list[dict[str, Any]]:
    """All rows of the output, in their order."""
    files = sorted((output / "predictions").glob("*.parquet"))
    rows = [row for file in files for row in parquet.read_table(file).to_pylist()]
    return sorted(rows, key=lambda row: int(row["row"]))


def errors(output: Path) -> dict[str, str]:
    """Source and error of each row of the table of errors."""
    rows = parquet.read_table(output / "errors.parquet").to_pylist()
    assert all(row["detail"] for row in rows)
    return {row["source"]: row["error"] for row in rows}
