"""Download and model, as the peers that hold the model themselves use them."""

import io
import os

import numpy as np
import requests
import tensorflow as tf
from PIL import Image

session = requests.Session()
session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=64))


def fetch(url: str) -> np.ndarray:
    """Download an image as uint8 [299, 299, 3]."""
    response = session.get(url, timeout=30)
    response.raise_for_status()
    image = Image.open(io.BytesIO(response.content)).convert("RGB")
    return np.asarray(image.resize((299, 299), Image.Resampling.BILINEAR))


class Model:
    """The SavedModel in the folder $MODEL."""

    def __init__(self) -> None:
        self._loaded = tf.saved_model.load(os.environ["MODEL"])
        self._infer = self._loaded.signatures["serving_default"]

    def labels(self, images: np.ndarray) -> list[str]:
        """The label of each image in uint8 [N, 299, 299, 3]."""
        outputs = self._infer(images=tf.constant(images))
        labels, best = outputs["labels"].numpy(), outputs["probabilities"].numpy().argmax(1)
        return [str(row[index], "utf-8") for row, index in zip(labels, best, strict=True)]
