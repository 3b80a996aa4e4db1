"""The pixels of images, decoded once and kept in a file that is mapped into memory."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from data import LabelledImage, load_batches
from tqdm import tqdm

SIDE = 320  # pixels; crops are cut from it
BATCH_SIZE = 64


def decoded(images: Sequence[LabelledImage], file: Path, side: int = SIDE) -> np.ndarray:
    """Pixels as the gateway prepares them: uint8 [N, side, side, 3], mapped read-only.

    Args:
        images: N images.
        file: where to keep the pixels (side * side * 3 bytes an image); those kept there of
            the same files are used again.
        side: height and width in pixels.
    """
    shape, digest = (len(images), side, side, 3), _digest(images)
    complete = file.with_suffix(".sha256")  # written last
    if not (complete.is_file() and complete.read_text() == f"{digest} {side}"):
        file.parent.mkdir(parents=True, exist_ok=True)
        complete.unlink(missing_ok=True)
        pixels = np.lib.format.open_memmap(file, "w+", np.uint8, shape)
        with tqdm(total=len(images), desc="decoding", unit="image") as progress:
            for batch in load_batches(images, side, BATCH_SIZE):
                pixels[progress.n : progress.n + len(batch)] = batch
                progress.update(len(batch))
        pixels.flush()
        complete.write_text(f"{digest} {side}")
    mapped: np.ndarray = np.load(file, mmap_mode="r")
    return mapped


def _digest(images: Sequence[LabelledImage]) -> str:
    """SHA-256 of the files' names and sizes, in hexadecimal."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(f"{image.path} {image.path.stat().st_size}\n".encode())
    return digest.hexdigest()
