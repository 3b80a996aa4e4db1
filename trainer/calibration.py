"""How logits and similarities become probabilities and `in_domain`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logit

from gateway.signatures import IN_DOMAIN_BOUNDARY

KEPT_SHARE = 0.97  # of held-out images whose in_domain is at the boundary or above
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.5, 20.0
FEW = 200  # images; fewer give an interval too wide to rely on
FOLDS, RESAMPLES = 5, 200
INTERVAL = (0.025, 0.975)


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


@dataclass(frozen=True)
class Reliability:
    """How far a calibration can be relied on.

    Attributes:
        images: how many it was fitted on.
        temperature: its 95 % interval, by bootstrap.
        threshold: the same.
        rejected: the share of images that are rejected with a boundary fitted on others, by
            cross-validation.
        loss: the negative log-likelihood with a temperature fitted on others.
    """

    images: int
    temperature: tuple[float, float]
    threshold: tuple[float, float]
    rejected: float
    loss: float

    @property
    def warning(self) -> str:
        """Says that there are too few images, or is empty."""
        if self.images >= FEW:
            return ""
        return (
            f"only {self.images} held-out images: with fewer than {FEW} the probabilities "
            "and the boundary of in_domain are rough guesses"
        )


def calibrate(logits: np.ndarray, similarity: np.ndarray, classes: np.ndarray) -> Calibration:
    """Fit temperature and in_domain.

    Args:
        logits: float32 [N, labels] of held-out images.
        similarity: float32 [N].
        classes: int [N], the correct ones.
    """
    energy = np.logaddexp.reduce(logits, axis=1)
    scales = [
        (float(score.mean()), max(float(score.std()), 1e-3)) for score in (energy, similarity)
    ]
    scaled = Calibration(fit_temperature(logits, classes), scales[0], scales[1], threshold=0.0)
    lowest = np.quantile(scaled.evidence(energy, similarity), 1 - KEPT_SHARE)
    return replace(scaled, threshold=float(lowest - logit(IN_DOMAIN_BOUNDARY)))


def fit_temperature(logits: np.ndarray, classes: np.ndarray) -> float:
    """The temperature with the lowest loss against softened targets.

    The target of the correct label is (N + 1) / (N + 2) instead of 1 (Platt 1999), or a few
    images that happen to be all correct would make every probability 1.
    """
    count, labels = logits.shape
    targets = np.full(logits.shape, 1 / (count + 2) / max(labels - 1, 1))
    targets[np.arange(count), classes] = (count + 1) / (count + 2)

    def loss(log_temperature: float) -> float:
        scores = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float((targets * scores).sum(1).mean())

    bounds = np.log([LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE])
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def reliability(
    logits: np.ndarray, similarity: np.ndarray, classes: np.ndarray, seed: int = 0
) -> Reliability:
    """Fit again on resampled images, and on folds to measure the others with.

    Args:
        logits, similarity, classes: as of `calibrate`; at least two images.
        seed: of the resampling.
    """
    rng, count = np.random.default_rng(seed), len(classes)

    def fit(chosen: np.ndarray) -> Calibration:
        return calibrate(logits[chosen], similarity[chosen], classes[chosen])

    fits = [fit(rng.integers(0, count, count)) for _ in range(RESAMPLES)]
    rejected, losses = np.zeros(count, bool), np.zeros(count)
    for fold in np.array_split(rng.permutation(count), min(FOLDS, count)):
        fitted = fit(np.setdiff1d(np.arange(count), fold))
        energy = np.logaddexp.reduce(logits[fold], axis=1)
        lowest = fitted.threshold + logit(IN_DOMAIN_BOUNDARY)
        rejected[fold] = fitted.evidence(energy, similarity[fold]) < lowest
        scores = log_softmax(logits[fold] / fitted.temperature, axis=1)
        losses[fold] = -scores[np.arange(len(fold)), classes[fold]]
    return Reliability(
        count,
        _interval(fits, lambda one: one.temperature),
        _interval(fits, lambda one: one.threshold),
        float(rejected.mean()),
        float(losses.mean()),
    )


def _interval(
    fits: list[Calibration], value: Callable[[Calibration], float]
) -> tuple[float, float]:
    low, high = np.quantile([value(one) for one in fits], INTERVAL)
    return float(low), float(high)
