"""Images and labels of a folder: in the Kaggle layout, or with a folder for each label.

FOLDER/train.csv, FOLDER/train/<image_ID>    or    FOLDER/<label>/<image>
"""

import csv
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from gateway.images import FORMATS, preprocess


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
        folder: in one of the two layouts.
        manifest: what dataset/prepare.py wrote about the folder; without one the images are
            those of `train.csv` (columns `image_ID`, `label`) or, if there is none, of the
            folders, and have no split.

    Raises:
        DataError: a table, a column or an image is missing, or there is only one label.
    """
    table = folder / "train.csv"
    if manifest is not None:
        images = _read_table(manifest, "path", folder)
    elif table.is_file():
        images = _read_table(table, "image_ID", folder / "train")
    else:
        images = _read_folders(folder)
    if len(labels_of(images)) < 2:
        raise DataError(f"{manifest or folder} has fewer than two labels")
    return images


def read_outliers(folders: Sequence[Path], excluded: Sequence[str]) -> list[LabelledImage]:
    """List the images of folders of other sports or things, without the excluded labels.

    Raises:
        DataError: as `read_images`, or an excluded label does not occur.
    """
    images = [image for folder in folders for image in read_images(folder)]
    unknown = {label for label in excluded if label} - set(labels_of(images))
    if unknown:
        raise DataError(f"no outlier has the label {sorted(unknown)[0]!r}, to leave out")
    return [image for image in images if image.label not in excluded]


def _read_folders(folder: Path) -> list[LabelledImage]:
    folders = sorted(child for child in folder.glob("[!.]*") if child.is_dir())
    images = [
        LabelledImage(file, child.name.lower()) for child in folders for file in image_files(child)
    ]
    if not images:
        raise DataError(f"{folder} has neither train.csv nor a folder of images for each label")
    return images


def image_files(folder: Path) -> list[Path]:
    """The files below a folder whose names end like those of the formats that the gateway reads."""
    formats = Image.registered_extensions()
    files = [file for file in folder.rglob("*") if formats.get(file.suffix.lower()) in FORMATS]
    return sorted(files)


def _read_table(table: Path, column: str, root: Path) -> list[LabelledImage]:
    if not table.is_file():
        raise DataError(f"{table} is missing")
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
            path = Path(os.path.relpath(image.path, folder)).as_posix()
            rows.writerow([path, digest, image.label, image.split])


def load_batches(
    images: Sequence[LabelledImage],
    size: int,
    batch_size: int,
    change: Callable[[bytes], bytes] = lambda file: file,
) -> Iterator[np.ndarray]:
    """Yield the pixels as the gateway prepares them: uint8 [<= batch_size, size, size, 3].

    Args:
        images: their files are read.
        size: height and width, in pixels.
        batch_size: images in a batch; the last one may be smaller.
        change: is applied to each file before it is decoded.
    """

    def prepare(image: LabelledImage) -> np.ndarray:
        return preprocess(change(image.path.read_bytes()), (size, size))

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(images), batch_size):
            yield np.stack(list(pool.map(prepare, images[start : start + batch_size])))
