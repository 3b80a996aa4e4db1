"""What a tower makes of pictures, computed once and kept."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from data import Picture, load
from network import SIZE, on_pixels
from tqdm import tqdm

BATCH_SIZE = 32


def extract(
    tower: str,
    network: keras.Model,
    pictures: Sequence[Picture],
    file: Path | None = None,
    mirrored: bool = True,
) -> np.ndarray:
    """Pooled features of each picture and of its mirror image: float32 [N, 2, F].

    Args:
        tower: a key of network.TOWERS.
        network: the tower's backbone.
        pictures: N pictures; they are prepared as the gateway does.
        file: where to keep the features (float16), and to find those of a run before
            with the same weights and pictures.
        mirrored: without the mirror images the result is [N, 1, F].
    """
    names = np.array([picture.path.name for picture in pictures])
    digest = fingerprint(network)
    if file is not None and file.is_file():
        stored = np.load(file)
        if str(stored["network"]) == digest and np.array_equal(stored["names"], names):
            found: np.ndarray = stored["features"]
            return found.astype(np.float32)
    model = on_pixels(tower, network)
    batches = []
    with tqdm(total=len(pictures), desc=f"features of {tower}", unit="picture") as progress:
        for images in load(pictures, SIZE, BATCH_SIZE):
            sides = [images, images[:, :, ::-1]] if mirrored else [images]
            pooled = [model.predict_on_batch(side) for side in sides]
            batches.append(np.stack(pooled, axis=1).astype(np.float16))
            progress.update(len(images))
    features = np.concatenate(batches)
    if file is not None:
        np.savez(file, features=features, names=names, network=digest)
    return features.astype(np.float32)


def fingerprint(network: keras.Model) -> str:
    """Other weights, other text."""
    digest = hashlib.sha256()
    for weight in network.get_weights():
        digest.update(weight.tobytes())
    return digest.hexdigest()
