"""Predictions of a SavedModel or of a running service."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import requests
from data import DataError
from features import BATCH_SIZE
from tqdm import tqdm

from gateway.images import preprocess
from gateway.signatures import IN_DOMAIN_BOUNDARY

PARALLEL_REQUESTS = 4
TIMEOUT = 60  # seconds
AGREEMENT = 0.1  # of a probability; a server that computes in bfloat16 differed by up to 0.07


@dataclass(frozen=True)
class Predictions:
    """A model's outputs for N images.

    Attributes:
        labels: the C labels, sorted.
        probabilities: float [N, C].
        in_domain: float [N].
    """

    labels: list[str]
    probabilities: np.ndarray
    in_domain: np.ndarray

    @property
    def classes(self) -> np.ndarray:
        """The index of the most probable label: int [N]."""
        top: np.ndarray = self.probabilities.argmax(1)
        return top

    @property
    def confidence(self) -> np.ndarray:
        """The probability of the most probable label: float [N]."""
        highest: np.ndarray = self.probabilities.max(1)
        return highest

    @property
    def rejected(self) -> np.ndarray:
        """Whether in_domain is below its boundary: bool [N]."""
        return self.in_domain < IN_DOMAIN_BOUNDARY


def predict_with_service(server: str, files: Sequence[bytes]) -> Predictions:
    """Classify image files with a running service.

    Raises:
        requests.RequestException: the service is unreachable or does not accept an image.
    """

    def predict(file: bytes) -> dict[str, Any]:
        response = requests.post(
            f"{server.rstrip('/')}/v1/predictions", files={"image": file}, timeout=TIMEOUT
        )
        response.raise_for_status()
        prediction: dict[str, Any] = response.json()["predictions"][0]
        return prediction

    with ThreadPoolExecutor(PARALLEL_REQUESTS) as pool:
        predictions = list(tqdm(pool.map(predict, files), total=len(files), desc=server))
    labels = sorted(predictions[0]["probabilities"])
    return Predictions(
        labels,
        np.array([[one["probabilities"][label] for label in labels] for one in predictions]),
        np.array([one["in_domain"] for one in predictions]),
    )


def predict_with_saved_model(
    folder: Path, files: Sequence[bytes], description: str = "SavedModel"
) -> Predictions:
    """Classify image files with TensorFlow's own runtime."""
    import tensorflow as tf  # not needed, and slow to load, when a service is measured

    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    outputs = []
    with ThreadPoolExecutor() as pool, tqdm(total=len(files), desc=description) as progress:
        pixels = pool.map(preprocess, files)
        while batch := list(islice(pixels, BATCH_SIZE)):
            outputs.append(serve(images=tf.constant(np.stack(batch))))
            progress.update(len(batch))
    names = [name.decode() for name in outputs[0]["labels"][0].numpy()]
    order = np.argsort(names)
    return Predictions(
        sorted(names),
        np.concatenate([output["probabilities"] for output in outputs])[:, order],
        np.concatenate([output["in_domain"] for output in outputs]),
    )


def agreement(first: Predictions, second: Predictions) -> str:
    """Compare a service with a SavedModel, in words.

    Raises:
        DataError: a probability differs by more than AGREEMENT.
    """
    difference = float(abs(first.probabilities - second.probabilities).max())
    same = int((first.classes == second.classes).sum())
    text = (
        f"service and SavedModel: same label for {same} of {len(first.classes)} images, "
        f"probabilities differ by at most {difference:.4f}"
    )
    if difference > AGREEMENT:
        raise DataError(text)
    return text
