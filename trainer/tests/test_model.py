"""The model that is in the repository."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from gateway.images import preprocess

ROOT = Path(__file__).parents[2]
MODEL = max((ROOT / "model" / "sport-classification-model").iterdir(), key=lambda f: int(f.name))
SAMPLES = sorted((ROOT / "dataset" / "samples").glob("*.jpg"))
RECOGNISED = {"badminton", "soccer", "swimming", "tennis"}  # as README says


@pytest.fixture(scope="module")
def answers() -> dict[str, dict[str, tf.Tensor]]:
    explain = tf.saved_model.load(str(MODEL)).signatures["explain"]
    pictures = {file.stem: preprocess(file.read_bytes()) for file in SAMPLES}
    return {name: explain(images=tf.constant(picture[None])) for name, picture in pictures.items()}


def label(answer: dict[str, tf.Tensor]) -> str:
    top = int(tf.argmax(answer["probabilities"][0]))
    return answer["labels"][0, top].numpy().decode()


def test_the_samples_it_recognises(answers: dict[str, dict[str, tf.Tensor]]) -> None:
    assert {name for name, answer in answers.items() if label(answer) == name} >= RECOGNISED


def test_the_apple_is_none_of_the_seven(answers: dict[str, dict[str, tf.Tensor]]) -> None:
    assert answers["apple"]["in_domain"][0] < 0.5


def test_the_heat_lies_on_the_ball(answers: dict[str, dict[str, tf.Tensor]]) -> None:
    heat = answers["soccer"]["heatmaps"][0].numpy()
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert 4 <= row <= 7  # the lower half, where it lies
    assert 1 <= column <= 5


def test_no_file_is_too_large_to_push() -> None:
    sizes = [file.stat().st_size for file in MODEL.rglob("*") if file.is_file()]
    assert max(sizes) < 95e6
