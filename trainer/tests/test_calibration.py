import numpy as np
import pytest
from calibration import LOWEST_TEMPERATURE, calibrate, reliability
from scipy.special import softmax

from gateway.signatures import IN_DOMAIN_BOUNDARY


def test_finds_the_temperature_and_accepts_97_per_cent() -> None:
    rng = np.random.default_rng(1)
    honest = rng.normal(0, 2, (20_000, 7))
    classes = (softmax(honest, axis=1).cumsum(1) < rng.random((20_000, 1))).sum(1)
    similarity = rng.uniform(0.5, 1, 20_000)
    found = calibrate(3 * honest, similarity, classes)
    assert found.temperature == pytest.approx(3, rel=0.05)
    energy = np.logaddexp.reduce(3 * honest, axis=1)
    in_domain = 1 / (1 + np.exp(found.threshold - found.evidence(energy, similarity)))
    assert (in_domain >= IN_DOMAIN_BOUNDARY).mean() == pytest.approx(0.97, abs=0.001)


def made(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits that are right for all images, similarities and classes."""
    rng = np.random.default_rng(0)
    classes = np.arange(count) % 7
    logits = rng.normal(0, 1, (count, 7))
    logits[np.arange(count), classes] = logits.max(1) + 2
    return logits, rng.uniform(0.5, 1, count), classes


@pytest.mark.parametrize("count", [2, 20, 140])
def test_few_images_that_are_all_right_do_not_make_it_certain(count: int) -> None:
    logits, similarity, classes = made(count)
    found = calibrate(logits, similarity, classes)
    assert found.temperature >= LOWEST_TEMPERATURE
    confidence = softmax(logits / found.temperature, axis=1).max(1).mean()
    assert confidence < (count + 2) / (count + 3)


def test_reliability_grows_with_the_number_of_images() -> None:
    few, many = reliability(*made(20)), reliability(*made(700))
    assert few.images == 20
    assert few.warning.startswith("only 20 held-out images")
    assert many.warning == ""
    for name in ("temperature", "threshold"):
        (low, high), (lowest, highest) = getattr(many, name), getattr(few, name)
        assert high - low < highest - lowest
    assert low <= calibrate(*made(700)).threshold <= high
    assert many.rejected == pytest.approx(0.03, abs=0.01)
    assert 0 < many.loss < 1
