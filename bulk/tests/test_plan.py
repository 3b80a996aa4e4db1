"""What is left to do when a job is started again."""

from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="Ray is not installed: make .venv/bulk/ready does it")

from sports_bulk.plan import Plan, make_plan
from sports_bulk.tables import InvalidInput


def plan_of(tmp_path: Path, rows: int = 700, **changes: str) -> Plan:
    (tmp_path / "list.txt").write_text("".join(f"{row}.jpg\n" for row in range(rows)))
    options = {"model": "model/1", "precision": "int8"} | changes
    return make_plan(str(tmp_path / "list.txt"), None, str(tmp_path / "out"), 2, **options)


def test_rows_stand_in_parts_in_their_order(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, rows=701)  # of which 512 fill a file
    sources = [source for part in range(plan.parts) for source in plan.sources(part)]
    assert sources == [str(tmp_path / f"{row}.jpg") for row in range(701)]
    assert (plan.parts, plan.rows_of(range(351)), plan.rows_of([350])) == (351, 701, 1)


def test_parts_without_a_file_are_missing(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, rows=8)
    assert plan.missing() == [0, 1, 2, 3]
    for name in ("part-00000001.parquet", ".part-00000002.parquet.tmp", "part-00000003.parquet"):
        file = tmp_path / "out/predictions" / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
    assert plan.missing() == [0, 2]


def test_rows_of_a_job_stay_what_they_were_when_it_began(tmp_path: Path) -> None:
    plan_of(tmp_path, rows=8)
    assert plan_of(tmp_path, rows=10).rows == 8


def test_plan_that_was_not_finished_is_made_anew(tmp_path: Path) -> None:
    plan_of(tmp_path, rows=700)
    (tmp_path / "out/plan.json").unlink()
    plan = plan_of(tmp_path, rows=5)
    assert (plan.rows, plan.sources(2)) == (5, [str(tmp_path / "4.jpg")])


def test_folder_of_another_job_is_refused(tmp_path: Path) -> None:
    plan_of(tmp_path)
    with pytest.raises(InvalidInput, match="belongs to a job with model model/1, not model/2"):
        plan_of(tmp_path, model="model/2")


def test_empty_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="has no rows"):
        plan_of(tmp_path, rows=0)
