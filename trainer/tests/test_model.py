"""The model that is in the repository."""

import hashlib
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from network import SIZE, backbone, on_pixels

from gateway.images import preprocess, scale

ROOT = Path(__file__).parents[2]
MODEL = max((ROOT / "model" / "sport-classification-model").iterdir(), key=lambda f: int(f.name))
SAMPLES = sorted((ROOT / "dataset" / "samples").glob("*.jpg"))
RECOGNISED = {"badminton", "cricket", "karate", "soccer", "swimming", "tennis"}  # as README says


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


def test_the_apple_is_less_at_home_than_any_sport(answers: dict[str, dict[str, tf.Tensor]]) -> None:
    at_home = {name: float(answer["in_domain"][0]) for name, answer in answers.items()}
    assert min(at_home, key=at_home.__getitem__) == "apple"


def test_the_heat_lies_on_the_ball(answers: dict[str, dict[str, tf.Tensor]]) -> None:
    heat = answers["soccer"]["heatmaps"][0].numpy()
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert 4 <= row <= 7  # the lower half, where it lies
    assert 1 <= column <= 5


def test_the_weights_beside_it_are_those_inside(answers: dict[str, dict[str, tf.Tensor]]) -> None:
    """Features of the shipped towers, as InceptionV3's own loader and ours read them."""
    file = ROOT / "model" / "inception_v3_sports.weights.h5"
    plain = keras.applications.InceptionV3(
        weights=None, include_top=False, input_shape=(SIZE, SIZE, 3), pooling="avg"
    )
    plain.load_weights(file)
    images = np.stack([preprocess(SAMPLES[0].read_bytes())])
    ours = on_pixels("inception_v3", backbone("inception_v3", str(file)))
    np.testing.assert_allclose(
        plain.predict(scale(images), verbose=0), ours.predict(images, verbose=0), atol=1e-3
    )
    provenance = json.loads((MODEL / "assets.extra" / "provenance.json").read_text())
    first, *others = provenance["run"]["towers"]
    assert first == "inception_v3"
    for tower in others:
        backbone(tower, str(ROOT / "model" / f"{tower}_sports.weights.h5"))
    manifest = (ROOT / "dataset" / "manifest.csv").read_bytes()
    assert provenance["manifest_sha256"] == hashlib.sha256(manifest).hexdigest()


def test_no_file_is_too_large_to_push() -> None:
    sizes = [file.stat().st_size for file in (ROOT / "model").rglob("*") if file.is_file()]
    assert max(sizes) < 95e6
