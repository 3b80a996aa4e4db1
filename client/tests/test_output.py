"""Files of results: their format, and what a repeated command makes of them."""

import csv
import json
import os
from pathlib import Path

import pytest
from sports.__main__ import ALL_CLASSIFIED, SOME_FAILED, WRONG_USE
from stub_service import StubService, run

Capture = pytest.CaptureFixture[str]
NO_IMAGE = (415, dict[str, str]())


@pytest.fixture
def folder(tmp_path: Path, jpeg: bytes) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (folder / name).write_bytes(jpeg)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file) if path.suffix == ".csv" else map(json.loads, file))


@pytest.mark.parametrize("name", ["results.csv", "results.jsonl"])
def test_a_repeated_command_tries_failures_again(
    folder: Path, stub: StubService, capsys: Capture, name: str
) -> None:
    output = folder.with_name(name)
    arguments = [folder, "-o", output, "--host", stub.host, "-j", 1]
    stub.refusals = [NO_IMAGE, NO_IMAGE]
    assert run(*arguments) == SOME_FAILED
    stub.refusals = [NO_IMAGE]
    assert run(*arguments) == SOME_FAILED
    assert stub.requests == 3 + 2
    assert run(*arguments) == ALL_CLASSIFIED
    assert stub.requests == 3 + 2 + 1
    assert sorted(Path(row["source"]).name for row in rows(output)) == ["a.jpg", "b.jpg", "c.jpg"]
    assert {row["label"] for row in rows(output)} == {"tennis"}
    assert run(*arguments) == ALL_CLASSIFIED
    assert stub.requests == 3 + 2 + 1
    assert "already has all 3 images" in capsys.readouterr().err


def test_failures_of_other_images_stay_in_the_output(folder: Path, stub: StubService) -> None:
    output = folder.with_name("results.csv")
    stub.refusals = [NO_IMAGE]
    run(folder / "a.jpg", "-o", output, "--host", stub.host)
    assert run(folder / "b.jpg", "-o", output, "--host", stub.host) == ALL_CLASSIFIED
    assert [row["error"] for row in rows(output)] == ["Busy.", ""]


@pytest.mark.parametrize(
    ("content", "style"),
    [
        (b"source,label,probability,known,error\na.jpg,tennis,1.0,,\n", "--json"),
        (b'{"source": "a.jpg", "label": "tennis"}\n', "--csv"),
        (b'{"name": "a.jpg"}\n', "--json"),
        (b"[1, 2]\n", "--json"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "--csv"),
        (b"no line is complete", "--json"),
    ],
)
def test_a_file_with_something_else_is_left_alone(
    folder: Path, stub: StubService, capsys: Capture, content: bytes, style: str
) -> None:
    output = folder.with_name("other")
    output.write_bytes(content)
    assert run(folder, style, "-o", output, "--host", stub.host) == WRONG_USE
    assert "something else" in capsys.readouterr().err
    assert output.read_bytes() == content
    assert not stub.requests


def test_an_output_that_cannot_be_written(folder: Path, stub: StubService, capsys: Capture) -> None:
    assert run(folder, "-o", folder / "no/results.csv", "--host", stub.host) == WRONG_USE
    assert "No such file" in capsys.readouterr().err


def test_an_empty_output_is_started(folder: Path, stub: StubService) -> None:
    output = folder.with_name("results.csv")
    output.touch()
    assert run(folder, "-o", output, "--host", stub.host) == ALL_CLASSIFIED
    assert len(rows(output)) == 3


@pytest.mark.parametrize("style", ["--csv", "--json"])
def test_a_file_name_that_is_no_text(
    folder: Path, stub: StubService, capfdbinary: pytest.CaptureFixture[bytes], style: str
) -> None:
    strange = folder / os.fsdecode(b"\xff.jpg")
    (folder / "a.jpg").rename(strange)
    arguments = [folder, style, "-o", folder.with_name("results"), "--host", stub.host]
    assert run(*arguments) == run(*arguments) == ALL_CLASSIFIED
    assert stub.requests == 3
    assert run(strange, "--host", stub.host) == ALL_CLASSIFIED
    assert b"/\xff.jpg: tennis" in capfdbinary.readouterr().out
