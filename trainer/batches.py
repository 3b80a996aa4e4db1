"""Batches to tune a tower on: how often each image is drawn, and mixtures of two images."""

from collections import Counter
from collections.abc import Sequence

import keras
import numpy as np
from augmentation import augment
from data import LabelledImage
from scipy.special import softmax

OUTLIER_SHARE = 0.4
TEACHER_SHARE = 0.7
MIXUP_SHARE, MIXUP_ALPHA = 0.3, 0.4
CUTMIX_SHARE = 0.3


class AugmentedImages(keras.utils.PyDataset):  # type: ignore[misc] # Keras has no types
    """Random crops, some of them mixed: uint8 [B, size, size, 3], targets float32 [B, classes].

    Batches depend on the seed and their index only.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        targets: np.ndarray,
        chances: np.ndarray,
        steps: int,
        size: int,
        batch_size: int,
        seed: Sequence[int],
        teacher: keras.Model | None = None,
    ) -> None:
        """Draw `steps` batches from N images.

        Args:
            pixels: uint8 [N, side, side, 3].
            targets: float32 [N, classes], one-hot.
            chances: the probability of each image, float [N], sum 1.
            steps: the number of batches.
            size: height and width, in pixels.
            batch_size: images in a batch.
            seed: any number of integers.
            teacher: returns logits [B, classes] for pixels [B, size, size, 3]; its
                probabilities replace TEACHER_SHARE of each target.
        """
        super().__init__(workers=1 if teacher else 2, max_queue_size=8)
        self._pixels, self._targets, self._chances = pixels, targets, chances
        self._steps, self._size, self._batch_size = steps, size, batch_size
        self._seed, self._teacher = tuple(seed), teacher

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([*self._seed, index])
        drawn = rng.choice(len(self._pixels), self._batch_size, p=self._chances)
        pixels = np.stack([augment(self._pixels[i], self._size, rng) for i in drawn])
        pixels, targets = mix(pixels, self._targets[drawn], rng)
        if self._teacher is not None:  # both see the same crop (Beyer et al. 2022)
            probabilities = softmax(self._teacher.predict_on_batch(pixels), axis=1)
            targets = (1 - TEACHER_SHARE) * targets + TEACHER_SHARE * probabilities
        return pixels, targets


def mix(
    pixels: np.ndarray, targets: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mix each image of some batches with another one, and their targets in proportion.

    Either all pixels (Zhang et al. 2018) or a rectangle of them (Yun et al. 2019).

    Args:
        pixels: uint8 [B, size, size, 3].
        targets: float32 [B, classes].
        rng: the source of randomness.

    Returns:
        As given, [B, size, size, 3] and [B, classes].
    """
    kind, partner = rng.random(), rng.permutation(len(pixels))
    if kind < MIXUP_SHARE:
        kept = rng.beta(MIXUP_ALPHA, MIXUP_ALPHA)
        mixed = kept * pixels + (1 - kept) * pixels[partner].astype(np.float32)
        pixels = np.rint(mixed).astype(np.uint8)
    elif kind < MIXUP_SHARE + CUTMIX_SHARE:
        size = pixels.shape[1]
        side = round(size * np.sqrt(1 - rng.random()))
        top, left = rng.integers(0, size - side + 1, 2)
        box = np.s_[:, top : top + side, left : left + side]
        pixels = pixels.copy()
        pixels[box] = pixels[partner][box]
        kept = 1 - (side / size) ** 2
    else:
        return pixels, targets
    return pixels, (kept * targets + (1 - kept) * targets[partner]).astype(np.float32)


def chances_of(images: Sequence[LabelledImage], outliers: Sequence[LabelledImage]) -> np.ndarray:
    """The probability of drawing each image, outliers after the others: float [N + M], sum 1.

    The outliers get OUTLIER_SHARE of all draws. Within each part a label is drawn in
    proportion to its count to the power of 0.7, so that small labels are drawn more often
    than their share of the images.
    """
    parts = [_balanced_chances(part) for part in (images, outliers) if part]
    shares = [1 - OUTLIER_SHARE, OUTLIER_SHARE] if outliers else [1.0]
    return np.concatenate([share * part for share, part in zip(shares, parts, strict=True)])


def _balanced_chances(images: Sequence[LabelledImage]) -> np.ndarray:
    counts = Counter(image.label for image in images)
    weights = np.array([counts[image.label] ** -0.3 for image in images])
    chances: np.ndarray = weights / weights.sum()
    return chances
