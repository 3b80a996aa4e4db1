from pathlib import Path

import numpy as np
import pytest
from draw_samples import SEED, SPORTS, apple
from PIL import Image

SAMPLES = Path(__file__).parents[2] / "dataset" / "samples"


@pytest.mark.parametrize("name", ["apple", "swimming"])
def test_the_script_draws_the_committed_samples(name: str) -> None:
    drawn = {**SPORTS, "apple": apple}[name](np.random.default_rng(SEED))
    with Image.open(SAMPLES / f"{name}.jpg") as sample:
        difference = abs(np.asarray(sample, float) - np.asarray(drawn, float))
    assert difference.mean() < 5  # JPEG and the grain; an image of another seed differs by more


def test_there_is_a_sample_of_each_sport() -> None:
    assert {file.stem for file in SAMPLES.glob("*.jpg")} == {*SPORTS, "apple"}
