import numpy as np
import pytest
from calibration import LOWEST_TEMPERATURE, calibrate, reliability
from scipy.special import softmax

from gateway.signatures import IN_DOMAIN_BOUNDARY


def test_finds_the_temperature_and_accepts_95_per_cent_of_all_views() -> None:
    rng = np.random.default_rng(1)
    honest = rng.normal(0, 2, (20_000, 7))
    classes = (softmax(honest, axis=1).cumsum(1) < rng.random((20_000, 1))).sum(1)
    logits = 3 * np.stack([honest, honest - 1])  # less sure of degraded copies
    found = calibrate(logits, classes)
    assert found.temperature == pytest.approx(3, rel=0.05)
    in_domain = 1 / (1 + np.exp(-found.evidence(logits.max(2))))
    accepted = in_domain >= IN_DOMAIN_BOUNDARY
    assert accepted.mean() == pytest.approx(0.95, abs=0.001)
    assert accepted[0].mean() > 0.95 > accepted[1].mean()


def made(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits of two views that are right for all images, and classes."""
    rng = np.random.default_rng(0)
    classes = np.arange(count) % 7
    logits = rng.normal(0, 1, (2, count, 7))
    logits[:, np.arange(count), classes] = logits.max(2) + 2
    return logits, classes


@pytest.mark.parametrize("count", [2, 20, 140])
def test_few_images_that_are_all_right_do_not_make_it_certain(count: int) -> None:
    logits, classes = made(count)
    found = calibrate(logits, classes)
    assert found.temperature >= LOWEST_TEMPERATURE
    confidence = softmax(logits[0] / found.temperature, axis=1).max(1).mean()
    assert confidence < (count + 2) / (count + 3)


def test_reliability_grows_with_the_number_of_images() -> None:
    few, many = reliability(*made(20)), reliability(*made(700))
    assert few.images == 20
    assert few.warning.startswith("only 20 held-out images")
    assert many.warning == ""
    for name in ("temperature", "lowest"):
        (low, high), (lowest, highest) = getattr(many, name), getattr(few, name)
        assert high - low < highest - lowest
    assert low <= calibrate(*made(700)).lowest <= high
    assert many.rejected == pytest.approx(0.05, abs=0.015)
    assert 0 < many.loss < 1
