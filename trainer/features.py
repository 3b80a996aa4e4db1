"""Pooled features of images, computed once and stored."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from data import LabelledImage, load_batches
from network import SIZE, on_pixels
from tqdm import tqdm

BATCH_SIZE = 32


def extract(
    tower: str,
    network: keras.Model,
    images: Sequence[LabelledImage],
    file: Path | None = None,
    mirrored: bool = True,
) -> np.ndarray:
    """Pooled features of each image and of its mirror image: float32 [N, 2, F].

    Args:
        tower: a key of network.TOWERS.
        network: the tower's backbone.
        images: N images; they are prepared as the gateway does.
        file: where to store the features (float16); features stored there with the same
            weights and images are returned without computing them again.
        mirrored: without the mirror images the result is [N, 1, F].
    """
    names = np.array(["/".join(image.path.parts[-2:]) for image in images])
    digest = weights_digest(network)
    if file is not None and file.is_file():
        stored = np.load(file)
        if str(stored["network"]) == digest and np.array_equal(stored["names"], names):
            found: np.ndarray = stored["features"]
            return found.astype(np.float32)
    model = on_pixels(tower, network)
    batches = []
    with tqdm(total=len(images), desc=f"features of {tower}", unit="image") as progress:
        for pixels in load_batches(images, SIZE, BATCH_SIZE):
            views = [pixels, pixels[:, :, ::-1]] if mirrored else [pixels]
            pooled = [model.predict_on_batch(view) for view in views]
            batches.append(np.stack(pooled, axis=1).astype(np.float16))
            progress.update(len(pixels))
    features = np.concatenate(batches)
    if file is not None:
        np.savez(file, features=features, names=names, network=digest)
    return features.astype(np.float32)


def weights_digest(network: keras.Model) -> str:
    """SHA-256 of the weights, in hexadecimal."""
    digest = hashlib.sha256()
    for weight in network.get_weights():
        digest.update(weight.tobytes())
    return digest.hexdigest()
