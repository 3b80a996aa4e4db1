"""Pictures and labels from a folder in the Kaggle layout: `train/` and `train.csv`."""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from PIL import Image, ImageEnhance
from scipy.sparse.csgraph import connected_components
from scipy.special import softmax
from sklearn.model_selection import StratifiedGroupKFold

from gateway.images import preprocess

SERIES_SIMILARITY = 0.97  # cosine; pictures of one event in one hall come out above it
FOLDS = 7  # one of them is held out
CROP_AREA = (0.45, 1.0)
CROP_ASPECT = (0.75, 1.33)
COLOUR = (0.7, 1.3)  # brightness, contrast, saturation
BLURRED_SHARE, SHRINK = 0.5, (0.5, 1.0)
OUTLIER_SHARE = 0.4
TEACHER_SHARE = 0.7


class DataError(Exception):
    """The folder is not what the trainer can use; the text says where."""


@dataclass(frozen=True)
class Picture:
    """One labelled picture; the split is "train", "validation" or not chosen yet."""

    path: Path
    label: str
    split: str = ""


def read(folder: Path, manifest: Path | None = None) -> list[Picture]:
    """Read a folder's pictures; labels become lower case.

    Args:
        folder: in the Kaggle layout.
        manifest: what dataset/prepare.py wrote about it; without one the pictures are
            those of `train.csv` (columns `image_ID`, `label`), and have no split.

    Raises:
        DataError: a table, a column or a picture is missing, or there is one label only.
    """
    if manifest is None:
        pictures = _pictures(folder / "train.csv", "image_ID", folder / "train")
    else:
        pictures = _pictures(manifest, "path", folder)
    if len(labels_of(pictures)) < 2:
        raise DataError(f"{manifest or folder / 'train.csv'} holds fewer than two labels")
    return pictures


def read_outliers(folder: Path | None, leave_out: Sequence[str]) -> list[Picture]:
    """The pictures of a folder, if there is one, but those of some labels.

    Raises:
        DataError: as `read`, or a label to leave out is not there.
    """
    if folder is None:
        return []
    pictures = read(folder)
    unknown = {label for label in leave_out if label} - set(labels_of(pictures))
    if unknown:
        raise DataError(f"{folder} has no label {sorted(unknown)[0]!r} to leave out")
    return [picture for picture in pictures if picture.label not in leave_out]


def _pictures(table: Path, column: str, root: Path) -> list[Picture]:
    if not table.is_file():
        raise DataError(f"{table} is missing; the Kaggle layout has train.csv beside train/")
    with table.open(newline="") as file:
        rows = csv.DictReader(file)
        missing = {column, "label"} - set(rows.fieldnames or ())
        if missing:
            raise DataError(f"{table} has no column {sorted(missing)[0]!r}")
        pictures = [
            Picture(root / row[column], row["label"].lower(), row.get("split") or "")
            for row in rows
        ]
    for picture in pictures:
        if not picture.path.is_file():
            raise DataError(f"{picture.path} is in {table.name} and not in {root.name}/")
    return pictures


def labels_of(pictures: Sequence[Picture]) -> list[str]:
    """The labels in the order of the model's outputs."""
    return sorted({picture.label for picture in pictures})


def split(pictures: Sequence[Picture], features: np.ndarray, seed: int) -> list[Picture]:
    """Hold one seventh of each class out, and never part of a series.

    Args:
        pictures: N pictures.
        features: float [N, F]; pictures of one class whose features have a cosine
            similarity above SERIES_SIMILARITY, directly or through others, stay together.
        seed: another seed, another split.

    Returns:
        The pictures in their order, each with its split.

    Raises:
        DataError: a class is too small.
    """
    classes = np.array([picture.label for picture in pictures])
    label, count = min(Counter(classes.tolist()).items(), key=lambda item: item[1])
    if count < FOLDS:
        raise DataError(f"{label} has {count} pictures; {FOLDS} are needed to hold some out")
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    _, held_out = next(folds.split(features, classes, _series(classes, features)))
    chosen = set(held_out.tolist())
    return [
        replace(picture, split="validation" if i in chosen else "train")
        for i, picture in enumerate(pictures)
    ]


def _series(classes: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Number the series: int [N]. One that holds most of a class tells nothing and is not kept."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    same_class = classes[:, None] == classes[None, :]
    count, series = connected_components(
        (unit @ unit.T > SERIES_SIMILARITY) & same_class, directed=False
    )
    most = 2 * np.bincount(series)[series] > same_class.sum(axis=1)
    return np.where(most, count + np.arange(len(series)), series)


def write_manifest(file: Path, pictures: Sequence[Picture], folder: Path) -> None:
    """Write path (from the folder), sha256, label and split of each picture."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["path", "sha256", "label", "split"])
        for picture in pictures:
            digest = hashlib.sha256(picture.path.read_bytes()).hexdigest()
            path = picture.path.relative_to(folder).as_posix()
            rows.writerow([path, digest, picture.label, picture.split])


def load(pictures: Sequence[Picture], size: int, batch_size: int) -> Iterator[np.ndarray]:
    """Yield the pictures as the gateway prepares them: uint8 [<= batch_size, size, size, 3]."""

    def prepared(picture: Picture) -> np.ndarray:
        return preprocess(picture.path.read_bytes(), (size, size))

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(pictures), batch_size):
            yield np.stack(list(pool.map(prepared, pictures[start : start + batch_size])))


class AugmentedPictures(keras.utils.PyDataset):
    """An epoch of random crops: uint8 [B, size, size, 3], one-hot float32 [B, classes].

    The same seed and epoch give the same batches, whatever ran before.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        labels: Sequence[str],
        chances: np.ndarray,
        steps: int,
        size: int,
        batch_size: int,
        seed: Sequence[int],
        teacher: keras.Model | None = None,
    ) -> None:
        """Draw `steps` batches from N pictures.

        Args:
            pictures: where from.
            labels: the names of the classes.
            chances: how often each picture comes, float [N], sum 1.
            steps: how many batches.
            size: height and width, in pixels.
            batch_size: pictures in a batch.
            seed: any number of integers.
            teacher: gives logits [B, classes] for images [B, size, size, 3]; its
                probabilities replace TEACHER_SHARE of each one-hot.
        """
        super().__init__(workers=1 if teacher else 2, max_queue_size=8)
        self._pictures, self._labels, self._chances = pictures, list(labels), chances
        self._steps, self._size, self._batch_size = steps, size, batch_size
        self._seed, self._teacher = tuple(seed), teacher

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([*self._seed, index])
        drawn = rng.choice(len(self._pictures), self._batch_size, p=self._chances)
        pictures = [self._pictures[i] for i in drawn]
        images = np.stack([self._augmented(picture, rng) for picture in pictures])
        classes = [self._labels.index(picture.label) for picture in pictures]
        targets = np.eye(len(self._labels), dtype=np.float32)[classes]
        if self._teacher is not None:  # the same crop for both (Beyer et al. 2022)
            taught = softmax(self._teacher.predict_on_batch(images), axis=1)
            targets = (1 - TEACHER_SHARE) * targets + TEACHER_SHARE * taught
        return images, targets

    def _augmented(self, picture: Picture, rng: np.random.Generator) -> np.ndarray:
        size, side = (self._size, self._size), self._size * 5 // 4
        whole = Image.fromarray(preprocess(picture.path.read_bytes(), (side, side)))
        if rng.random() < BLURRED_SHARE:  # so that a small picture is no sign of a label
            small = round(side * rng.uniform(*SHRINK))
            whole = whole.resize((small, small), Image.Resampling.BILINEAR).resize((side, side))
        image = whole.resize(size, Image.Resampling.BILINEAR, box=_crop(side, rng))
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = enhance(image).enhance(rng.uniform(*COLOUR))
        pixels = np.asarray(image)
        return pixels[:, ::-1] if rng.random() < 0.5 else pixels


def chances_of(pictures: Sequence[Picture], outliers: Sequence[Picture]) -> np.ndarray:
    """How often to draw each picture, the outliers behind the others: float [N + M], sum 1.

    The outliers get OUTLIER_SHARE of all draws. Within each part a label is drawn in
    proportion to its count to the power of 0.7, so that small ones count more.
    """
    parts = [_balanced(part) for part in (pictures, outliers) if part]
    shares = [1 - OUTLIER_SHARE, OUTLIER_SHARE] if outliers else [1.0]
    return np.concatenate([share * part for share, part in zip(shares, parts, strict=True)])


def _balanced(pictures: Sequence[Picture]) -> np.ndarray:
    counts = Counter(picture.label for picture in pictures)
    weights = np.array([counts[picture.label] ** -0.3 for picture in pictures])
    chances: np.ndarray = weights / weights.sum()
    return chances


def _crop(side: int, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """A random box of a square: left, upper, right, lower."""
    area, aspect = rng.uniform(*CROP_AREA), np.exp(rng.uniform(*np.log(CROP_ASPECT)))
    width = min(side, side * np.sqrt(area * aspect))
    height = min(side, side * np.sqrt(area / aspect))
    left, upper = rng.uniform(0, side - width), rng.uniform(0, side - height)
    return left, upper, left + width, upper + height
