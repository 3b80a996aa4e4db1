import numpy as np
import pytest
from calibration import calibrate
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
