"""Write a trained run as a SavedModel that TensorFlow Serving loads.

    python trainer/export.py --run-folder runs/first --data FOLDER --version 1

The signatures are `serving_default` and `explain`; model/README.md says what they hold.
Refuses to finish when the SavedModel and the Keras model disagree.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from data import DataError, Picture, load, read_split
from network import BACKBONE, build, fold
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

MODEL_NAME = "sport-classification-model"
DESTINATION = Path(__file__).resolve().parents[1] / "model" / MODEL_NAME
SIZE = 299
BATCH_SIZE = 32
WARM_UP_BATCH_SIZES = (1, 2, 4, 8, 16, 32)
KEPT_SHARE = 0.95  # of validation pictures that in_domain puts at 0.5 or above
TOLERANCE = 1e-3  # of a probability
COMPARED = 32  # pictures


class ExportError(Exception):
    """The SavedModel is not what it should be; nothing was put in place."""


@dataclass(frozen=True)
class Calibration:
    """What turns logits into honest numbers.

    Probabilities are softmax(logits / temperature) (Guo et al. 2017); in_domain is
    sigmoid((energy - threshold) / spread), energy = logsumexp(logits) (Liu et al. 2020).
    """

    temperature: float
    threshold: float
    spread: float


class Classifier(tf.Module):
    """The folded network as one frozen function, and the signatures that call it."""

    def __init__(self, network: Any, labels: list[str], calibration: Calibration) -> None:
        super().__init__()
        self._network, self._labels, self._calibration = network, labels, calibration
        images = [tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8, "images")]
        self.serving_default = tf.function(self._serving_default, input_signature=images)
        self.explain = tf.function(self._explain, input_signature=images)

    def _serving_default(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._answer(tf.reduce_mean(self._activations(images), [1, 2]))

    def _explain(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        activations = self._activations(images)
        logits = tf.reduce_mean(activations, [1, 2])
        top = tf.one_hot(tf.argmax(logits, 1), len(self._labels))
        heat = tf.nn.relu(tf.einsum("nhwc,nc->nhw", activations, top))
        highest = tf.reduce_max(heat, [1, 2], keepdims=True)
        return {**self._answer(logits), "heatmaps": tf.math.divide_no_nan(heat, highest)}

    def _activations(self, images: tf.Tensor) -> tf.Tensor:
        """Class activation maps [N, 8, 8, classes]; their means are logits (Zhou et al. 2016)."""
        return tf.ensure_shape(self._network(images)[0], [None, 8, 8, len(self._labels)])

    def _answer(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        calibration = self._calibration
        energy = tf.reduce_logsumexp(logits, 1)
        return {
            "probabilities": tf.nn.softmax(logits / calibration.temperature),
            "labels": tf.tile(tf.constant([self._labels]), [tf.shape(logits)[0], 1]),
            "in_domain": tf.sigmoid((energy - calibration.threshold) / calibration.spread),
        }


def export(run_folder: Path, data: Path, destination: Path, version: int) -> Path:
    """Export a run.

    Args:
        run_folder: what train.py wrote.
        data: the pictures it was trained on; the held-out ones calibrate and compare.
        destination: the model folder; the version's folder is made in it.
        version: a positive number that is not there yet.

    Returns:
        The version's folder.

    Raises:
        DataError, ExportError
    """
    folder = destination / str(version)
    if folder.exists():
        raise ExportError(f"{folder} is there already; a version is never changed")
    labels = json.loads((run_folder / "run.json").read_text())["labels"]
    held_out = [p for p in read_split(run_folder / "split.csv", data) if p.split == "validation"]
    keras.config.set_dtype_policy("float32")
    model = build(len(labels))
    model.load_weights(run_folder / "model.weights.h5")

    logits = predict(model, held_out)
    calibration = calibrate(logits, np.array([labels.index(p.label) for p in held_out]))
    print(f"calibration: {calibration}")
    module = Classifier(freeze(model), labels, calibration)
    unfinished = destination / f".{version}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    tf.saved_model.save(
        module,
        str(unfinished),
        signatures={"serving_default": module.serving_default, "explain": module.explain},
    )
    write_warm_up(unfinished)
    expected = softmax(logits[:COMPARED] / calibration.temperature, axis=1)
    compare(unfinished, held_out[:COMPARED], expected)
    unfinished.rename(folder)
    return folder


def predict(model: keras.Model, pictures: list[Picture]) -> np.ndarray:
    """Logits float32 [N, classes] of pictures prepared as the gateway does."""
    batches = [model.predict_on_batch(images) for images in load(pictures, SIZE, BATCH_SIZE)]
    return np.concatenate(batches)


def calibrate(logits: np.ndarray, classes: np.ndarray) -> Calibration:
    """Fit temperature and in_domain.

    Args:
        logits: float32 [N, classes] of held-out pictures.
        classes: int [N], the right ones.
    """

    def loss(log_temperature: float) -> float:
        scores = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(scores[np.arange(len(classes)), classes].mean())

    temperature = float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))
    energy = np.logaddexp.reduce(logits, axis=1)
    threshold = float(np.quantile(energy, 1 - KEPT_SHARE))
    return Calibration(temperature, threshold, max(float(np.std(energy)), 1e-3))


def freeze(model: keras.Model) -> Any:
    """The folded network with its head as one function without variables.

    uint8 [N, 299, 299, 3] in, class activation maps float32 [N, 8, 8, classes] out.
    Both signatures call it, so the file holds each weight once.
    """
    folded = fold(model.get_layer(BACKBONE))
    folded.set_weights([_rounded(weight) for weight in folded.get_weights()])
    kernel, bias = (tf.constant(_rounded(w)) for w in model.get_layer("head").get_weights())

    @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8, "images")])
    def network(images: tf.Tensor) -> tf.Tensor:
        scaled = tf.cast(images, tf.float32) / 127.5 - 1.0
        return tf.einsum("nhwf,fc->nhwc", folded(scaled, training=False), kernel) + bias

    return convert_variables_to_constants_v2(network.get_concrete_function())


def _rounded(weight: np.ndarray) -> np.ndarray:
    """Keep 12 of a float32's 23 fraction bits; a repository packs the rest away."""
    bits = np.ascontiguousarray(weight, np.float32).view(np.uint32)
    return ((bits + 0x400) & np.uint32(0xFFFFF800)).view(np.float32)


def write_warm_up(folder: Path) -> None:
    """Requests that TensorFlow Serving replays when it loads the version."""
    file = folder / "assets.extra" / "tf_serving_warmup_requests"
    file.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as records:
        for request in _warm_up_requests():
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            records.write(log.SerializeToString())


def _warm_up_requests() -> Iterable[predict_pb2.PredictRequest]:
    for size in WARM_UP_BATCH_SIZES:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = MODEL_NAME
        request.model_spec.signature_name = "serving_default"
        tensor = request.inputs["images"]
        tensor.dtype = tf.uint8.as_datatype_enum
        tensor.tensor_shape.CopyFrom(tf.TensorShape([size, SIZE, SIZE, 3]).as_proto())
        tensor.int_val.append(128)  # one value stands for all of them
        yield request


def compare(folder: Path, pictures: list[Picture], expected: np.ndarray) -> None:
    """Ask the SavedModel about pictures.

    Args:
        folder: the SavedModel.
        pictures: N pictures.
        expected: their probabilities, float [N, classes].

    Raises:
        ExportError: it is off by more than TOLERANCE.
    """
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    batches = load(pictures, SIZE, BATCH_SIZE)
    given = np.concatenate([serve(images=tf.constant(b))["probabilities"] for b in batches])
    off = float(abs(given - expected).max())
    if not off <= TOLERANCE:
        raise ExportError(f"the SavedModel is off by {off:.5f} from the Keras model")
    print(f"the SavedModel is off by at most {off:.6f} on {len(pictures)} pictures")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run-folder", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--destination", type=Path, default=DESTINATION)
    parser.add_argument("--version", type=int, required=True)
    flags = parser.parse_args()
    try:
        print(export(flags.run_folder, flags.data, flags.destination, flags.version))
    except (DataError, ExportError, FileNotFoundError) as error:
        sys.exit(f"export.py: {error}")


if __name__ == "__main__":
    main()
