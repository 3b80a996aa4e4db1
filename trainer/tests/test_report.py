import io
from pathlib import Path

import numpy as np
import pytest
from data import DataError, LabelledImage
from disturbances import DISTURBANCES, disturb
from PIL import Image, ImageStat
from plots import contact_sheet
from predictions import Predictions, agreement
from report import calibration_error, per_label, report, share, write_card

from gateway.images import preprocess

LABELS = ["a", "b"]
SAMPLE = Path(__file__).parents[2] / "dataset" / "samples" / "soccer.jpg"


def predictions(*of_b: float, in_domain: float = 0.9) -> Predictions:
    probabilities = np.array([[1 - p, p] for p in of_b])
    return Predictions(LABELS, probabilities, np.full(len(of_b), in_domain))


PREDICTED = predictions(0.1, 0.2, 0.7, 0.9)
CORRECT = np.array([0, 0, 0, 1])


def test_share_with_its_interval() -> None:
    assert share(81, 263) == "30.8% (25.5% to 36.6%)"  # Newcombe 1998, table I


def test_scores_per_label() -> None:
    text = per_label(PREDICTED, CORRECT)
    assert "| a | 2 | 1 | 66.7% | 100.0% | 0.800 |" in text
    assert "| b | 0 | 1 | 100.0% | 50.0% | 0.667 |" in text


def test_scores_of_a_label_that_is_never_predicted() -> None:
    text = per_label(predictions(0.1, 0.2), np.array([0, 1]))
    assert "| b | 1 | 0 | 0.0% | 0.0% | 0.000 |" in text


def test_calibration_error() -> None:
    correct = np.array([True, True, False, False])
    assert calibration_error(np.full(4, 0.5), correct) == pytest.approx(0)
    assert calibration_error(np.full(4, 0.9), correct) == pytest.approx(0.4)
    assert calibration_error(np.array([1.0, 0.6]), np.array([True, False])) == pytest.approx(0.3)


def test_report() -> None:
    text = report(PREDICTED, CORRECT)
    assert "Accuracy on 4 held-out images: **75.0% (" in text
    assert "Of these images `in_domain` rejects 0.0% (" in text
    assert per_label(PREDICTED, CORRECT) in text


def test_the_card_is_rewritten_between_its_marks(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("before\n<!-- measured -->\nold\n<!-- /measured -->\nafter\n")
    for text in ("first", "second"):
        write_card(card, text, PREDICTED, CORRECT, predictions(0.5, in_domain=0.2))
    lines = card.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert "second" in lines
    assert not {"old", "first"} & set(lines)
    with Image.open(tmp_path / "measured.png") as plot:
        assert plot.width > 1000


def test_a_card_without_marks_is_not_changed(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("words")
    with pytest.raises(DataError, match="no <!-- measured -->"):
        write_card(card, "text", PREDICTED, CORRECT, None)
    assert card.read_text() == "words"


def test_service_and_saved_model_must_agree() -> None:
    text = agreement(PREDICTED, predictions(0.11, 0.2, 0.7, 0.9))
    assert "same label for 4 of 4 images, probabilities differ by at most 0.0100" in text
    with pytest.raises(DataError, match="same label for 3 of 4"):
        agreement(PREDICTED, predictions(0.1, 0.2, 0.1, 0.9))


def test_the_contact_sheet_shows_only_mistakes(tmp_path: Path) -> None:
    images = [LabelledImage(SAMPLE, LABELS[correct]) for correct in CORRECT]
    file = tmp_path / "sheet.png"
    contact_sheet(file, images, LABELS, PREDICTED.probabilities)
    with Image.open(file) as sheet:
        assert ImageStat.Stat(sheet.crop((0, 40, 200, 240))).mean != [255, 255, 255]
        assert ImageStat.Stat(sheet.crop((230, 40, 430, 240))).mean == [255, 255, 255]


@pytest.mark.parametrize("name", DISTURBANCES)
def test_a_disturbed_image_is_similar_to_the_original(name: str) -> None:
    original = SAMPLE.read_bytes()
    disturbed = disturb(name, original)
    with Image.open(io.BytesIO(disturbed)) as image:
        assert image.format == "JPEG"
    difference = abs(preprocess(disturbed).astype(float) - preprocess(original)).mean()
    assert 0 < difference < (40 if name == "greyscale" else 12)
