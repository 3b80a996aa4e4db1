"""How logits and similarities become probabilities and `in_domain`."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logit

from gateway.signatures import IN_DOMAIN_BOUNDARY

KEPT_SHARE = 0.97  # of held-out images whose in_domain is at the boundary or above


@dataclass(frozen=True)
class Calibration:
    """The constants that make probabilities and `in_domain` match the held-out images.

    Probabilities are softmax(logits / temperature) (Guo et al. 2017). in_domain is
    sigmoid(e + s - threshold): e is the energy logsumexp(logits) (Liu et al. 2020), s the
    cosine similarity to the tenth nearest training image (Sun et al. 2022), each minus its
    mean and divided by its standard deviation on held-out images.
    """

    temperature: float
    energy: tuple[float, float]
    similarity: tuple[float, float]
    threshold: float

    def evidence(self, energy: Any, similarity: Any) -> Any:
        """e + s; numbers, arrays or tensors."""
        (e_mean, e_deviation), (s_mean, s_deviation) = self.energy, self.similarity
        return (energy - e_mean) / e_deviation + (similarity - s_mean) / s_deviation


def calibrate(logits: np.ndarray, similarity: np.ndarray, classes: np.ndarray) -> Calibration:
    """Fit temperature and in_domain.

    Args:
        logits: float32 [N, labels] of held-out images.
        similarity: float32 [N].
        classes: int [N], the correct ones.
    """

    def loss(log_temperature: float) -> float:
        scores = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(scores[np.arange(len(classes)), classes].mean())

    temperature = float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))
    energy = np.logaddexp.reduce(logits, axis=1)
    scales = [
        (float(score.mean()), max(float(score.std()), 1e-3)) for score in (energy, similarity)
    ]
    scaled = Calibration(temperature, scales[0], scales[1], threshold=0.0)
    lowest = np.quantile(scaled.evidence(energy, similarity), 1 - KEPT_SHARE)
    return replace(scaled, threshold=float(lowest - logit(IN_DOMAIN_BOUNDARY)))
