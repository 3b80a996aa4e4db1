"""What the peers with the model inside them share: the picture in, the label out."""

import io
import os

import numpy as np
import requests
import tensorflow as tf
from PIL import Image

session = requests.Session()
session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=64))


def fetch(url: str) -> np.ndarray:
    """uint8 [299, 299, 3] of the picture there."""
    response = session.get(url, timeout=30)
    response.raise_for_status()
    image = Image.open(io.BytesIO(response.content)).convert("RGB")
    return np.asarray(image.resize((299, 299), Image.Resampling.BILINEAR))


class Model:
    """The SavedModel in the folder that MODEL names."""

    def __init__(self) -> None:
        self._loaded = tf.saved_model.load(os.environ["MODEL"])
        self._infer = self._loaded.signatures["serving_default"]

    def labels(self, images: np.ndarray) -> list[str]:
        """The label of each picture of uint8 [N, 299, 299, 3]."""
        answer = self._infer(images=tf.constant(images))
        labels, top = answer["labels"].numpy(), answer["probabilities"].numpy().argmax(1)
        return [str(words[at], "utf-8") for words, at in zip(labels, top, strict=True)]
