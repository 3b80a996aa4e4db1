"""Small SavedModels whose outputs show how a request was run."""

from collections.abc import Iterable
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

SIZE = 4  # pixels
IMAGES = [tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8, "images")]
SIGNATURES = {
    "serving_default": IMAGES,
    "unbatched": IMAGES,
    "log_gamma": IMAGES,
    "count": [tf.TensorSpec([None], tf.string, "keys")],
    "divide": [tf.TensorSpec([], tf.int32, name) for name in ("a", "b")],
    "hold": [tf.TensorSpec([None], tf.string, "folders")],
}


class ServerModel(tf.Module):
    """A model with the signatures named.

    serving_default: the mean of each image, the version, the size of the batch, and labels.
    unbatched: a sum over all images, without a batch dimension.
    log_gamma: log-gamma of the mean of each image, an operation that OpenVINO lacks.
    count: looks keys up in a table and counts its requests in a variable.
    divide: fails when b is 0.
    hold: creates a file `entered` in the folder and responds when there is a file `release`;
        `Hold` waits for the one and creates the other.
    """

    def __init__(self, version: int, signatures: Iterable[str]) -> None:
        super().__init__()
        self._version = tf.Variable(version, trainable=False)
        self._requests = tf.Variable(0, trainable=False)
        initializer = tf.lookup.KeyValueTensorInitializer(["a", "b"], [10, 20])
        self._table = tf.lookup.StaticHashTable(initializer, -1)
        self.functions = {
            name: tf.function(
                getattr(self, f"_{name}"), input_signature=SIGNATURES[name], autograph=False
            )
            for name in signatures
        }

    def _serving_default(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        count = tf.shape(images)[0]
        return {
            "mean": tf.reduce_mean(tf.cast(images, tf.float32), [1, 2, 3]),
            "version": tf.repeat(self._version, count),
            "batch": tf.repeat(count, count),
            "labels": tf.tile(tf.constant([["a", "b"]]), [count, 1]),
        }

    def _unbatched(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"sum": tf.reduce_sum(tf.cast(images, tf.int64))}

    def _log_gamma(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"log_gamma": tf.math.lgamma(tf.reduce_mean(tf.cast(images, tf.float32), [1, 2, 3]))}

    def _count(self, keys: tf.Tensor) -> dict[str, tf.Tensor]:
        requests = self._requests.assign_add(1)
        return {
            "values": self._table.lookup(keys),
            "requests": tf.repeat(requests, tf.size(keys)),
        }

    def _divide(self, a: tf.Tensor, b: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"quotient": a // b, "unit": tf.constant("apples")}

    def _hold(self, folders: tf.Tensor) -> dict[str, tf.Tensor]:
        tf.io.write_file(folders[0] + "/entered", "")
        release = folders[0] + "/release"
        (polls,) = tf.while_loop(
            lambda _: tf.equal(tf.size(tf.io.matching_files(release)), 0), lambda n: [n + 1], [0]
        )
        return {"polls": tf.repeat(polls, tf.size(folders))}


def write_model(folder: Path, version: int = 1, signatures: Iterable[str] = SIGNATURES) -> Path:
    """Save a model as a version in `folder`; returns `folder`."""
    module = ServerModel(version, signatures)
    tf.saved_model.save(module, str(folder / str(version)), signatures=module.functions)
    return folder


def write_keras_model(folder: Path, version: int = 1) -> Path:
    """Save a model as Keras exports it: float32 input, one unnamed output, weights in variables."""
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            keras.layers.Conv2D(2, 3),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.export(str(folder / str(version)), verbose=False)
    return folder


def write_warm_up(folder: Path, *signatures: str, **inputs: object) -> None:
    """Store a warm-up request for each signature with the model in `folder`."""
    inputs = inputs or {"images": tf.zeros([1, SIZE, SIZE, 3], tf.uint8)}
    file = folder / "assets.extra" / "tf_serving_warmup_requests"
    file.parent.mkdir()
    with tf.io.TFRecordWriter(str(file)) as records:
        for signature in signatures:
            request = predict_pb2.PredictRequest()
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(request)
            records.write(log.SerializeToString())
