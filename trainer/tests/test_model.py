"""The model in the repository, and the notebook that shows its predictions."""

import hashlib
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from network import backbone
from notebook_runner import run_notebook
from random_networks import SCALED
from random_networks import outputs as outputs_of

from gateway.signatures import IN_DOMAIN_BOUNDARY

ROOT = Path(__file__).parents[2]
MODEL = max((ROOT / "model" / "sport-classification-model").iterdir(), key=lambda f: int(f.name))
# As the model card says.
RECOGNISED = {"badminton", "cricket", "karate", "soccer", "swimming", "tennis"}


@pytest.fixture(scope="module")
def outputs() -> dict[str, dict[str, Any]]:
    """The outputs of `explain` for each sample, by the name of the sample."""
    notebook = run_notebook("prediction", {})
    assert notebook["newest"] == MODEL
    names = [file.stem for file in notebook["samples"]]
    return {
        name: {output: rows[i] for output, rows in notebook["outputs"].items()}
        for i, name in enumerate(names)
    }


def test_recognises_the_samples(outputs: dict[str, dict[str, Any]]) -> None:
    predicted = {
        name: output["labels"][output["probabilities"].argmax()].decode()
        for name, output in outputs.items()
    }
    assert {name for name, label in predicted.items() if label == name} >= RECOGNISED


def test_accepts_what_it_recognises_and_rejects_the_apple(
    outputs: dict[str, dict[str, Any]],
) -> None:
    accepted = {name for name, out in outputs.items() if out["in_domain"] >= IN_DOMAIN_BOUNDARY}
    assert accepted >= RECOGNISED
    assert "apple" not in accepted


def test_the_heat_map_shows_the_ball(outputs: dict[str, dict[str, Any]]) -> None:
    heat = outputs["soccer"]["heatmaps"]
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert 4 <= row <= 7  # the ball is in the lower half
    assert 1 <= column <= 5


def test_keras_and_trainer_load_the_same_weights() -> None:
    """Features of InceptionV3, as its own loader and ours read the weights in the repository."""
    file = ROOT / "model" / "inception_v3_sports.weights.h5"
    plain = keras.applications.InceptionV3(
        weights=None, include_top=False, input_shape=(None, None, 3), pooling="avg"
    )
    plain.load_weights(file)
    ours = backbone("inception_v3", str(file))
    np.testing.assert_allclose(outputs_of(ours, SCALED), outputs_of(plain, SCALED), atol=1e-3)


def test_provenance_matches_the_files() -> None:
    provenance = json.loads((MODEL / "assets.extra" / "provenance.json").read_text())
    for tower in provenance["run"]["towers"]:
        backbone(tower, str(ROOT / "model" / f"{tower}_sports.weights.h5"))
    manifest = (ROOT / "dataset" / "manifest.csv").read_bytes()
    assert provenance["manifest_sha256"] == hashlib.sha256(manifest).hexdigest()


def test_no_file_is_too_large_to_push() -> None:
    sizes = [file.stat().st_size for file in (ROOT / "model").rglob("*") if file.is_file()]
    assert max(sizes) < 95e6


def test_the_model_card_states_the_boundary_of_in_domain() -> None:
    card = (ROOT / "model" / "README.md").read_text()
    assert f"`in_domain` of {IN_DOMAIN_BOUNDARY} or more" in card
