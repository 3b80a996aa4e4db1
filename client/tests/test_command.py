"""The command against the real gateway."""

import csv
import io
import json
from pathlib import Path

import pytest
from conftest import KEY
from PIL import Image
from sports.__main__ import ALL_CLASSIFIED, SOME_FAILED, UNAVAILABLE
from stub_service import run

Capture = pytest.CaptureFixture[str]
CRICKET = "cricket (88.0 %)"

pytestmark = pytest.mark.usefixtures("environment")


def pixel(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    value = image.convert("RGB").getpixel((x, y))
    assert isinstance(value, tuple)
    return value


def distance(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    return max(abs(a - b) for a, b in zip(first, second, strict=True))


def test_a_file_and_a_url(image: Path, image_url: str, capsys: Capture) -> None:
    assert run(image, image_url) == ALL_CLASSIFIED
    assert capsys.readouterr().out == f"{image}: {CRICKET}\n{image_url}: {CRICKET}\n"


def test_json(image: Path, capsys: Capture) -> None:
    assert run(image, "--json") == ALL_CLASSIFIED
    result = json.loads(capsys.readouterr().out)
    assert result["source"] == str(image)
    assert result["label"] == "cricket"
    assert len(result["probabilities"]) == 7


def test_csv(image: Path, host: str, capsys: Capture) -> None:
    image.with_name("no.jpg").write_bytes(b"not an image")
    assert run(image.parent, "--csv", "--host", f"http://{host}") == SOME_FAILED
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["label"] for row in rows] == ["cricket", ""]
    assert "not a readable JPEG" in rows[1]["error"]


@pytest.mark.parametrize("source", ["missing.jpg", "http://127.0.0.1:1/"])
def test_a_source_that_cannot_be_read(source: str, image: Path, capsys: Capture) -> None:
    assert run(source, image) == SOME_FAILED
    output = capsys.readouterr()
    assert output.out == f"{image}: {CRICKET}\n"
    assert output.err.startswith(f"sports: {source}: ")


def test_a_wrong_key(image: Path, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "key"
    file.write_text("other\n")
    assert run(image, "--key-file", file) == UNAVAILABLE
    assert "API keys" in capsys.readouterr().err


def test_a_key_from_a_file(image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPORTS_API_KEY")
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    assert run(image, "--key-file", file) == ALL_CLASSIFIED


def test_explain_draws_the_heat_map_over_the_image(image: Path, tmp_path: Path) -> None:
    output = tmp_path / "heat.png"
    assert run(image, "--explain", output) == ALL_CLASSIFIED
    with Image.open(image) as before, Image.open(output) as after:
        assert after.size == before.size
        assert distance(pixel(after, 2, 2), pixel(before, 2, 2)) < 12  # the map is 0 here
        assert distance(pixel(after, 317, 237), (255, 128, 15)) < 40  # and 1 here


def test_explain_with_an_unknown_suffix(image: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run(image, "--explain", tmp_path / "heat.nonsense") == SOME_FAILED
    assert "nonsense" in capsys.readouterr().err
