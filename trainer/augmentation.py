"""Random crops of the training images, and how often each image is drawn."""

from collections import Counter
from collections.abc import Sequence

import keras
import numpy as np
from data import LabelledImage, classes_of
from PIL import Image, ImageEnhance
from scipy.special import softmax

from gateway.images import preprocess

CROP_AREA = (0.45, 1.0)
CROP_ASPECT = (0.75, 1.33)
COLOUR = (0.7, 1.3)  # brightness, contrast, saturation
BLURRED_SHARE, SHRINK = 0.5, (0.5, 1.0)
OUTLIER_SHARE = 0.4
TEACHER_SHARE = 0.7


class AugmentedImages(keras.utils.PyDataset):  # type: ignore[misc] # Keras has no types
    """An epoch of random crops: uint8 [B, size, size, 3], one-hot float32 [B, classes].

    Batches depend on the seed, the epoch and their index only.
    """

    def __init__(
        self,
        images: Sequence[LabelledImage],
        labels: Sequence[str],
        chances: np.ndarray,
        steps: int,
        size: int,
        batch_size: int,
        seed: Sequence[int],
        teacher: keras.Model | None = None,
    ) -> None:
        """Draw `steps` batches from N images.

        Args:
            images: what to draw from.
            labels: the names of the classes.
            chances: the probability of each image, float [N], sum 1.
            steps: the number of batches.
            size: height and width, in pixels.
            batch_size: images in a batch.
            seed: any number of integers.
            teacher: returns logits [B, classes] for pixels [B, size, size, 3]; its
                probabilities replace TEACHER_SHARE of each one-hot target.
        """
        super().__init__(workers=1 if teacher else 2, max_queue_size=8)
        self._images, self._classes, self._chances = images, classes_of(images, labels), chances
        self._class_count = len(labels)
        self._steps, self._size, self._batch_size = steps, size, batch_size
        self._seed, self._teacher = tuple(seed), teacher

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([*self._seed, index])
        drawn = rng.choice(len(self._images), self._batch_size, p=self._chances)
        pixels = np.stack([self._augment(self._images[i], rng) for i in drawn])
        targets = np.eye(self._class_count, dtype=np.float32)[self._classes[drawn]]
        if self._teacher is not None:  # both see the same crop (Beyer et al. 2022)
            probabilities = softmax(self._teacher.predict_on_batch(pixels), axis=1)
            targets = (1 - TEACHER_SHARE) * targets + TEACHER_SHARE * probabilities
        return pixels, targets

    def _augment(self, image: LabelledImage, rng: np.random.Generator) -> np.ndarray:
        size, side = (self._size, self._size), self._size * 5 // 4
        whole = Image.fromarray(preprocess(image.path.read_bytes(), (side, side)))
        if rng.random() < BLURRED_SHARE:  # so that low resolution does not indicate a label
            small = round(side * rng.uniform(*SHRINK))
            whole = whole.resize((small, small), Image.Resampling.BILINEAR).resize((side, side))
        crop = whole.resize(size, Image.Resampling.BILINEAR, box=_crop_box(side, rng))
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            crop = enhance(crop).enhance(rng.uniform(*COLOUR))
        pixels = np.asarray(crop)
        return pixels[:, ::-1] if rng.random() < 0.5 else pixels


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


def _crop_box(side: int, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """A random box of a square: left, upper, right, lower."""
    area, aspect = rng.uniform(*CROP_AREA), np.exp(rng.uniform(*np.log(CROP_ASPECT)))
    width = min(side, side * np.sqrt(area * aspect))
    height = min(side, side * np.sqrt(area / aspect))
    left, upper = rng.uniform(0, side - width), rng.uniform(0, side - height)
    return left, upper, left + width, upper + height
