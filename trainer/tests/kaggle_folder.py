"""Small images in the Kaggle layout."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 96  # pixels


def blots(*seed: int) -> Image.Image:
    """A small image that resembles no image of another seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def write_table(folder: Path, rows: Iterable[Sequence[str]]) -> Path:
    """Write train.csv, the header being the first row, beside an empty train/."""
    (folder / "train").mkdir(parents=True)
    with (folder / "train.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def write_folder(folder: Path, labels: Sequence[str], images_per_label: int = 7) -> Path:
    """Write images of each label; those of one label have a colour in common."""
    names = {
        (i, n): f"{label}{n}.jpg" for i, label in enumerate(labels) for n in range(images_per_label)
    }
    rows = [(name, labels[i].title()) for (i, _), name in names.items()]
    write_table(folder, [("image_ID", "label"), *rows])
    for (i, n), name in names.items():
        colour = Image.fromarray(np.random.default_rng(i).integers(0, 256, (1, 1, 3), np.uint8))
        image = Image.blend(blots(i, n), colour.resize((SIDE, SIDE)), 0.5)
        image.save(folder / "train" / name, quality=95)
    return folder
