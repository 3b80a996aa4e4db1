import io
from pathlib import Path

import numpy as np
import pytest
from data import DataError, Picture
from disturbances import DISTURBANCES, disturb
from evaluate import Answers, agreement, calibration_error, per_label, report, share, write_card
from PIL import Image, ImageStat
from plots import contact_sheet

from gateway.images import preprocess

LABELS = ["a", "b"]
SAMPLE = Path(__file__).parents[2] / "dataset" / "samples" / "soccer.jpg"


def answers(*of_b: float, in_domain: float = 0.9) -> Answers:
    probabilities = np.array([[1 - p, p] for p in of_b])
    return Answers(LABELS, probabilities, np.full(len(of_b), in_domain))


GIVEN = answers(0.1, 0.2, 0.7, 0.9)
RIGHT = np.array([0, 0, 0, 1])


def test_a_share_has_its_interval() -> None:
    assert share(81, 263) == "30.8% (25.5% to 36.6%)"  # Newcombe 1998, table I


def test_per_label() -> None:
    text = per_label(GIVEN, RIGHT)
    assert "| a | 2 | 1 | 66.7% | 100.0% | 0.800 |" in text
    assert "| b | 0 | 1 | 100.0% | 50.0% | 0.667 |" in text


def test_a_label_nobody_gives() -> None:
    assert "| b | 1 | 0 | 0.0% | 0.0% | 0.000 |" in per_label(answers(0.1, 0.2), np.array([0, 1]))


def test_calibration_error() -> None:
    hits = np.array([True, True, False, False])
    assert calibration_error(np.full(4, 0.5), hits) == pytest.approx(0)
    assert calibration_error(np.full(4, 0.9), hits) == pytest.approx(0.4)
    assert calibration_error(np.array([1.0, 0.6]), np.array([True, False])) == pytest.approx(0.3)


def test_the_report() -> None:
    others = answers(0.5, 0.5, in_domain=0.2)
    text = report(GIVEN, RIGHT, others, {"grey": answers(0.1, 0.2, 0.3, 0.9)})
    assert "Accuracy on 4 held-out pictures: **75.0% (" in text
    assert "AUROC 1.000; 100.0% (" in text
    assert "| grey | 100.0% (" in text


def test_the_card_is_written_between_its_marks_and_again(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("before\n<!-- measured -->\nold\n<!-- /measured -->\nafter\n")
    for text in ("first", "second"):
        write_card(card, text, GIVEN, RIGHT, answers(0.5, in_domain=0.2))
    lines = card.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert "second" in lines
    assert not {"old", "first"} & set(lines)
    with Image.open(tmp_path / "measured.png") as plot:
        assert plot.width > 1000


def test_a_card_without_marks(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("words")
    with pytest.raises(DataError, match="no <!-- measured -->"):
        write_card(card, "text", GIVEN, RIGHT, None)
    assert card.read_text() == "words"


def test_service_and_model_have_to_agree() -> None:
    assert "same label for 4 of 4, off by 0.0100" in agreement(GIVEN, answers(0.11, 0.2, 0.7, 0.9))
    with pytest.raises(DataError, match="same label for 3 of 4"):
        agreement(GIVEN, answers(0.1, 0.2, 0.1, 0.9))


def test_the_contact_sheet_shows_the_mistakes(tmp_path: Path) -> None:
    pictures = [Picture(SAMPLE, LABELS[right]) for right in RIGHT]
    file = tmp_path / "sheet.png"
    contact_sheet(file, pictures, LABELS, GIVEN.probabilities)
    with Image.open(file) as sheet:
        assert ImageStat.Stat(sheet.crop((0, 40, 200, 240))).mean != [255, 255, 255]
        assert ImageStat.Stat(sheet.crop((230, 40, 430, 240))).mean == [255, 255, 255]


@pytest.mark.parametrize("name", DISTURBANCES)
def test_a_disturbed_picture_is_still_that_picture(name: str) -> None:
    original = SAMPLE.read_bytes()
    disturbed = disturb(name, original)
    with Image.open(io.BytesIO(disturbed)) as image:
        assert image.format == "JPEG"
    difference = abs(preprocess(disturbed).astype(float) - preprocess(original)).mean()
    assert 0 < difference < (40 if name == "grey" else 12)
