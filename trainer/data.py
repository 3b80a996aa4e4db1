"""Images and labels from a folder in the Kaggle layout: `train/` and `train.csv`."""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.images import preprocess


class DataError(Exception):
    """The data cannot be used; the message names the file or label at fault."""


@dataclass(frozen=True)
class LabelledImage:
    """An image file and its label; the split is "train", "validation" or not chosen yet."""

    path: Path
    label: str
    split: str = ""


def read_images(folder: Path, manifest: Path | None = None) -> list[LabelledImage]:
    """List the images of a folder; labels become lower case.

    Args:
        folder: in the Kaggle layout.
        manifest: what dataset/prepare.py wrote about the folder; without one the images are
            those of `train.csv` (columns `image_ID`, `label`), and have no split.

    Raises:
        DataError: a table, a column or an image is missing, or there is only one label.
    """
    if manifest is None:
        images = _read_table(folder / "train.csv", "image_ID", folder / "train")
    else:
        images = _read_table(manifest, "path", folder)
    if len(labels_of(images)) < 2:
        raise DataError(f"{manifest or folder / 'train.csv'} has fewer than two labels")
    return images


def read_outliers(folder: Path | None, excluded: Sequence[str]) -> list[LabelledImage]:
    """List the images of a folder of other sports, without those of the excluded labels.

    Raises:
        DataError: as `read_images`, or an excluded label does not occur.
    """
    if folder is None:
        return []
    images = read_images(folder)
    unknown = {label for label in excluded if label} - set(labels_of(images))
    if unknown:
        raise DataError(f"{folder} has no label {sorted(unknown)[0]!r} to leave out")
    return [image for image in images if image.label not in excluded]


def _read_table(table: Path, column: str, root: Path) -> list[LabelledImage]:
    if not table.is_file():
        raise DataError(f"{table} is missing; the Kaggle layout has train.csv beside train/")
    with table.open(newline="") as file:
        rows = csv.DictReader(file)
        missing = {column, "label"} - set(rows.fieldnames or ())
        if missing:
            raise DataError(f"{table} has no column {sorted(missing)[0]!r}")
        images = [
            LabelledImage(root / row[column], row["label"].lower(), row.get("split") or "")
            for row in rows
        ]
    for image in images:
        if not image.path.is_file():
            raise DataError(f"{image.path} is listed in {table.name} but is not in {root.name}/")
    return images


def labels_of(images: Sequence[LabelledImage]) -> list[str]:
    """The labels in the order of the model's outputs."""
    return sorted({image.label for image in images})


def classes_of(images: Sequence[LabelledImage], labels: Sequence[str]) -> np.ndarray:
    """The index of each image's label: int [N]."""
    index = {label: number for number, label in enumerate(labels)}
    return np.array([index[image.label] for image in images], dtype=int)


def held_out(images: Sequence[LabelledImage]) -> list[LabelledImage]:
    """The images of the validation split."""
    return [image for image in images if image.split == "validation"]


def write_manifest(file: Path, images: Sequence[LabelledImage], folder: Path) -> None:
    """Write path (relative to the folder), sha256, label and split of each image."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["path", "sha256", "label", "split"])
        for image in images:
            digest = hashlib.sha256(image.path.read_bytes()).hexdigest()
            path = image.path.relative_to(folder).as_posix()
            rows.writerow([path, digest, image.label, image.split])


def load_batches(
    images: Sequence[LabelledImage], size: int, batch_size: int
) -> Iterator[np.ndarray]:
    """Yield the pixels as the gateway prepares them: uint8 [<= batch_size, size, size, 3]."""

    def prepare(image: LabelledImage) -> np.ndarray:
        return preprocess(image.path.read_bytes(), (size, size))

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(images), batch_size):
            yield np.stack(list(pool.map(prepare, images[start : start + batch_size])))
