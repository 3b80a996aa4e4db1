"""The summary, the table of errors and the page that a job leaves."""

from pathlib import Path
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow", reason="Ray is not installed: make .venv/bulk/ready does it")

from conftest import SAMPLES
from pyarrow import parquet
from results import errors

from gateway.config import Settings
from sports_bulk.plan import Plan
from sports_bulk.predictions import prediction_schema
from sports_bulk.report import write_report

SCHEMA = prediction_schema(("karate", "tennis"))
BAD = {"error": "source-refused", "detail": "The source answered 404."}
ROWS: list[dict[str, Any]] = [
    {"source": str(SAMPLES[3]), "label": "karate", "known": True},
    {"source": str(SAMPLES[0]), "label": "tennis", "known": False},
    {"source": "https://slow.example/1.jpg", "label": "tennis", "known": True, "fetch_seconds": 3},
    {"source": "https://fast.example/1.jpg", "fetch_seconds": 0.2} | BAD,
    {"source": "https://fast.example/2.jpg", "fetch_seconds": 0.4} | BAD,
    {"source": "http://<b>x</b>/3.jpg", "fetch_seconds": 0.1, "error": "unsupported-image"}
    | {"detail": "broken"},
]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The folder of a job with its report."""
    rows = [{"row": number} | row for number, row in enumerate(ROWS)]
    plan = Plan("in<put>", None, str(tmp_path), len(rows), 4, "model/1", "int8")
    for part, begin in enumerate((0, 4)):
        file = Path(plan.predictions_file(part))
        file.parent.mkdir(exist_ok=True)
        parquet.write_table(pa.Table.from_pylist(rows[begin : begin + 4], SCHEMA), file)
    # The URLs of the examples are asked again: nobody answers there.
    write_report(plan, Settings(nameserver=("127.0.0.1", 9), fetch_timeout=0.1), "It took 3 s.")
    return tmp_path


def test_summary_counts(output: Path) -> None:
    assert (output / "summary.txt").read_text().splitlines() == [
        "6 images: 3 classified, 3 failed.",
        "Classified: 2 tennis, 1 karate.",
        "Of them 1 probably show none of these.",
        "Failed: 2 source-refused, 1 unsupported-image.",
        "It took 3 s.",
    ]


def test_all_errors_are_in_their_table(output: Path) -> None:
    assert errors(output) == {row["source"]: row["error"] for row in ROWS[3:]}


def test_page_has_examples_and_the_slowest_hosts_first(output: Path) -> None:
    page = (output / "report.html").read_text()
    assert page.count('src="data:image/jpeg;base64,') == 2
    assert page.index("slow.example") < page.index("fast.example") < page.index("&lt;b&gt;x")
    assert "0.30" in page  # seconds for each image of fast.example
    assert "<b>" not in page
    assert "<put>" not in page
