"""Folders, lists and tables that say which images there are."""

import json
from pathlib import Path
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow", reason="Ray is not installed: make .venv/bulk/ready does it")

from pyarrow import parquet

from sports_bulk.tables import InvalidInput, sources

URL = "https://example.com/a.jpg"


def write_table(file: Path, rows: list[dict[str, Any]]) -> Path:
    """Write a table in the format that the file's name says."""
    columns = list(rows[0])
    if file.suffix == ".csv":
        lines = [columns, *(map(str, row.values()) for row in rows)]
        file.write_text("".join(",".join(line) + "\n" for line in lines))
    elif file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        parquet.write_table(pa.Table.from_pylist(rows), file)
    return file


def test_folder_is_read_in_order_with_all_below_it(tmp_path: Path) -> None:
    for name in ("b.jpg", "a/2.PNG", "a/1.webp", "c.md", ".hidden/x.jpg", ".y.jpg"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
    names = [Path(source).relative_to(tmp_path).as_posix() for source in sources(str(tmp_path))]
    assert names == ["a/1.webp", "a/2.PNG", "b.jpg"]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_tables_name_urls_and_paths_beside_them(tmp_path: Path, name: str) -> None:
    rows = [{"id": i, "url": source} for i, source in enumerate([URL, "in/b.jpg", "/c.jpg"])]
    table = write_table(tmp_path / name, rows)
    assert list(sources(str(table))) == [URL, str(tmp_path / "in/b.jpg"), "/c.jpg"]


def test_column_can_be_chosen(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", [{"url": "no", "big": URL}])
    assert list(sources(str(table), "big")) == [URL]


def test_row_without_a_source_stays_a_row(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.jsonl", [{"url": URL}, {"url": None}])
    assert list(sources(str(table))) == [URL, ""]


def test_list_skips_empty_lines(tmp_path: Path) -> None:
    file = tmp_path / "urls.txt"
    file.write_text(f"{URL}\r\n\n  b.jpg  \n/c.jpg")
    assert list(sources(str(file))) == [URL, str(tmp_path / "b.jpg"), "/c.jpg"]


def test_images_inside_a_table_are_numbered(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.parquet", [{"bytes": b"a"}, {"bytes": b"b"}])
    assert list(sources(str(table))) == [f"{table}#row=0", f"{table}#row=1"]


def test_folder_of_tables(tmp_path: Path) -> None:
    for number in (1, 2):
        write_table(tmp_path / f"{number}.csv", [{"url": f"{URL}?{number}"}])
    assert list(sources(str(tmp_path))) == [f"{URL}?1", f"{URL}?2"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", "id,name\n1,a\n", "has no column url or .*; it has id, name"),
        ("t.jsonl", "{broken\n", "cannot be read"),
        ("t.doc", "", "is not an image, a list .* or a table"),
        ("t.parquet", "PAR?", "cannot be read"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: str, says: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(InvalidInput, match=says):
        list(sources(str(file)))


def test_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.md").touch()
    with pytest.raises(InvalidInput, match="contains neither images nor tables"):
        list(sources(str(tmp_path)))


def test_missing_input(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(sources(str(tmp_path / "nothing")))
