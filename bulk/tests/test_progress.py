"""The line that says how far a job is."""

import io

import pytest

from sports_bulk.progress import Progress, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12.4, "12 s"), (125, "2 min 5 s"), (12_000, "3 h 20 min"), (0, "0 s")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_line_has_the_rate_since_the_first_part_and_the_cost_since_the_start() -> None:
    output = io.StringIO()
    progress = Progress(rows=1000, done=100, cost_per_hour=3.6, output=output)

    progress.add(100)  # until now the models were loaded
    progress._first, progress._begun = (50.0, 200), 0.0
    progress.done = 600

    line = progress.line(now=150.0)
    assert line == "600 of 1,000 (60.0 %), 4.0 images/s, 1 min 40 s left, 0.15 so far"


def test_last_row_is_always_printed() -> None:
    output = io.StringIO()
    Progress(rows=100, done=0, output=output).add(100)
    assert output.getvalue().startswith("100 of 100 (100.0 %)")
