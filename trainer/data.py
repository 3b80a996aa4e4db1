"""Pictures and labels from a folder in the Kaggle layout: `train/` and `train.csv`."""

import csv
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from PIL import Image, ImageEnhance
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

from gateway.images import preprocess

SERIES_SIMILARITY = 0.97  # cosine; pictures of one event in one hall come out above it
FOLDS = 7  # one of them is held out
CROP_AREA = (0.45, 1.0)
CROP_ASPECT = (0.75, 1.33)
COLOUR = (0.7, 1.3)  # brightness, contrast, saturation


class DataError(Exception):
    """The folder is not what the trainer can use; the text says where."""


@dataclass(frozen=True)
class Picture:
    """One labelled picture; the split is "train", "validation" or not chosen yet."""

    path: Path
    label: str
    split: str = ""


def read(folder: Path) -> list[Picture]:
    """Read `train.csv` (columns `image_ID`, `label`); labels become lower case.

    Raises:
        DataError: the table, a column or a picture is missing, or there is one label only.
    """
    table = folder / "train.csv"
    if not table.is_file():
        raise DataError(f"{table} is missing; the Kaggle layout has train.csv beside train/")
    with table.open(newline="") as file:
        rows = csv.DictReader(file)
        missing = {"image_ID", "label"} - set(rows.fieldnames or ())
        if missing:
            raise DataError(f"{table} has no column {sorted(missing)[0]!r}")
        pictures = [
            Picture(folder / "train" / row["image_ID"], row["label"].lower()) for row in rows
        ]
    for picture in pictures:
        if not picture.path.is_file():
            raise DataError(f"{picture.path} is in {table.name} and not in train/")
    if len(labels_of(pictures)) < 2:
        raise DataError(f"{table} holds fewer than two labels")
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
    """
    classes = np.array([picture.label for picture in pictures])
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


def write_split(file: Path, pictures: Sequence[Picture]) -> None:
    with file.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["image_ID", "label", "split"])
        rows.writerows([p.path.name, p.label, p.split] for p in pictures)


def read_split(file: Path, folder: Path) -> list[Picture]:
    """Read what `write_split` wrote about the pictures of `folder`."""
    with file.open(newline="") as rows:
        return [
            Picture(folder / "train" / row["image_ID"], row["label"], row["split"])
            for row in csv.DictReader(rows)
        ]


def load(pictures: Sequence[Picture], size: int, batch_size: int) -> Iterator[np.ndarray]:
    """Yield the pictures as the gateway prepares them: uint8 [<= batch_size, size, size, 3]."""

    def prepared(picture: Picture) -> np.ndarray:
        return preprocess(picture.path.read_bytes(), (size, size))

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(pictures), batch_size):
            yield np.stack(list(pool.map(prepared, pictures[start : start + batch_size])))


class AugmentedPictures(keras.utils.PyDataset):
    """Batches of random crops: uint8 [B, size, size, 3], one-hot float32 [B, classes].

    An epoch has as many pictures as there are; each is drawn with a chance that
    grows with its class's count to the power of 0.7, so that small classes count more.
    """

    def __init__(self, pictures: Sequence[Picture], size: int, batch_size: int, seed: int) -> None:
        super().__init__(workers=2, max_queue_size=8)
        self._pictures, self._size, self._batch_size, self._seed = pictures, size, batch_size, seed
        self._labels = labels_of(pictures)
        counts = np.array([sum(p.label == name for p in pictures) for name in self._labels])
        weights = dict(zip(self._labels, counts**0.7 / counts, strict=True))
        chances = np.array([weights[picture.label] for picture in pictures])
        self._chances = chances / chances.sum()
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._pictures) // self._batch_size

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self._seed, self._epoch, index])
        drawn = rng.choice(len(self._pictures), self._batch_size, p=self._chances)
        pictures = [self._pictures[i] for i in drawn]
        images = np.stack([self._augmented(picture, rng) for picture in pictures])
        classes = [self._labels.index(picture.label) for picture in pictures]
        return images, np.eye(len(self._labels), dtype=np.float32)[classes]

    def on_epoch_end(self) -> None:
        self._epoch += 1

    def _augmented(self, picture: Picture, rng: np.random.Generator) -> np.ndarray:
        size, side = (self._size, self._size), self._size * 5 // 4
        whole = Image.fromarray(preprocess(picture.path.read_bytes(), (side, side)))
        image = whole.resize(size, Image.Resampling.BILINEAR, box=_crop(side, rng))
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = enhance(image).enhance(rng.uniform(*COLOUR))
        pixels = np.asarray(image)
        return pixels[:, ::-1] if rng.random() < 0.5 else pixels


def _crop(side: int, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """A random box of a square: left, upper, right, lower."""
    area, aspect = rng.uniform(*CROP_AREA), np.exp(rng.uniform(*np.log(CROP_ASPECT)))
    width = min(side, side * np.sqrt(area * aspect))
    height = min(side, side * np.sqrt(area / aspect))
    left, upper = rng.uniform(0, side - width), rng.uniform(0, side - height)
    return left, upper, left + width, upper + height
