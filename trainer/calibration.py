"""How logits become probabilities and `in_domain`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logit

from gateway.signatures import IN_DOMAIN_BOUNDARY

KEPT_SHARE = 0.95  # of the views of held-out images whose in_domain reaches the boundary
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.25, 20.0
FEW = 200  # images; fewer give an interval too wide to rely on
FOLDS, RESAMPLES = 5, 200
INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class Calibration:
    """The constants that make probabilities and `in_domain` match the held-out images.

    Probabilities are softmax(logits / temperature) (Guo et al. 2017). in_domain is
    sigmoid((highest logit - lowest) / spread), with the boundary where the highest logit is
    `lowest` (maximum logit: Hendrycks et al. 2022).
    """

    temperature: float
    lowest: float
    spread: float

    def evidence(self, highest: Any) -> Any:
        """The logarithm of the odds that are in_domain.

        Args:
            highest: the highest logit of each image; a number, an array or a tensor.
        """
        return (highest - self.lowest) / self.spread + float(logit(IN_DOMAIN_BOUNDARY))


@dataclass(frozen=True)
class Reliability:
    """How far a calibration can be relied on.

    Attributes:
        images: how many it was fitted on.
        temperature: its 95 % interval, by bootstrap.
        lowest: the same.
        rejected: the share of images that are rejected with a boundary fitted on others, by
            cross-validation.
        loss: the negative log-likelihood with a temperature fitted on others.
    """

    images: int
    temperature: tuple[float, float]
    lowest: tuple[float, float]
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


def calibrate(logits: np.ndarray, classes: np.ndarray) -> Calibration:
    """Fit the temperature on the images, and in_domain on all views of them.

    Args:
        logits: float32 [V, N, labels] of V views of N held-out images. The first view is the
            image itself, the others are degraded copies: images of other collections are
            often smaller, more compressed or distorted.
        classes: int [N], the correct ones.
    """
    highest = logits.max(2)
    lowest = np.quantile(highest, 1 - KEPT_SHARE)
    spread = max(float(highest.std()), 1e-3)
    return Calibration(fit_temperature(logits[0], classes), float(lowest), spread)


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


def reliability(logits: np.ndarray, classes: np.ndarray, seed: int = 0) -> Reliability:
    """Fit again on resampled images, and on folds to measure the others with.

    Args:
        logits, classes: as of `calibrate`; at least two images.
        seed: of the resampling.
    """
    rng, count = np.random.default_rng(seed), len(classes)

    def fit(chosen: np.ndarray) -> Calibration:
        return calibrate(logits[:, chosen], classes[chosen])

    fits = [fit(rng.integers(0, count, count)) for _ in range(RESAMPLES)]
    rejected, losses = np.zeros(count, bool), np.zeros(count)
    for fold in np.array_split(rng.permutation(count), min(FOLDS, count)):
        fitted, held_out = fit(np.setdiff1d(np.arange(count), fold)), logits[0, fold]
        rejected[fold] = held_out.max(1) < fitted.lowest
        scores = log_softmax(held_out / fitted.temperature, axis=1)
        losses[fold] = -scores[np.arange(len(fold)), classes[fold]]
    return Reliability(
        count,
        _interval(fits, lambda one: one.temperature),
        _interval(fits, lambda one: one.lowest),
        float(rejected.mean()),
        float(losses.mean()),
    )


def _interval(
    fits: list[Calibration], value: Callable[[Calibration], float]
) -> tuple[float, float]:
    low, high = np.quantile([value(one) for one in fits], INTERVAL)
    return float(low), float(high)
