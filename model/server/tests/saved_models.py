"""Tiny SavedModels that tell what happened to them."""

from pathlib import Path

import keras
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

SIZE = 4  # pixels


class Counting(tf.Module):
    """Says of each picture its mean, which version it met, and how many shared its batch.

    `slow` works for about a second, `count` writes to a variable and reads a table.
    """

    def __init__(self, version: int) -> None:
        super().__init__()
        self._version = tf.Variable(version, trainable=False)
        self._requests = tf.Variable(0, trainable=False)
        words = tf.lookup.KeyValueTensorInitializer(["a", "b"], [10, 20])
        self._table = tf.lookup.StaticHashTable(words, -1)
        images = [tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8, "images")]
        self.serving_default = tf.function(self._serving_default, input_signature=images)
        self.unbatched = tf.function(self._unbatched, input_signature=images)
        self.slow = tf.function(self._slow, input_signature=images)
        self.count = tf.function(
            self._count, input_signature=[tf.TensorSpec([None], tf.string, "words")]
        )
        self.divide = tf.function(
            self._divide, input_signature=[tf.TensorSpec([], tf.int32, n) for n in ("a", "b")]
        )

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

    def _slow(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        matrix = tf.random.normal([600, 600])
        for _ in tf.range(60):
            matrix = tf.linalg.matmul(matrix, matrix) * 1e-3
        noise = tf.reduce_sum(matrix) * 0.0
        mean = tf.reduce_mean(tf.cast(images, tf.float32), [1, 2, 3])
        return {"mean": mean + tf.where(tf.math.is_nan(noise), 0.0, noise)}

    def _count(self, words: tf.Tensor) -> dict[str, tf.Tensor]:
        requests = self._requests.assign_add(1)
        return {
            "numbers": self._table.lookup(words),
            "requests": tf.repeat(requests, tf.size(words)),
        }

    def _divide(self, a: tf.Tensor, b: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"quotient": a // b, "unit": tf.constant("apples")}


def write_model(folder: Path, version: int = 1) -> Path:
    module = Counting(version)
    names = ("serving_default", "unbatched", "slow", "count", "divide")
    signatures = {name: getattr(module, name) for name in names}
    tf.saved_model.save(module, str(folder / str(version)), signatures=signatures)
    return folder


def write_keras_model(folder: Path, version: int = 1) -> Path:
    """As Keras exports a model: float32 in, one unnamed output, weights in variables."""
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


def write_warm_up(folder: Path, *signatures: str) -> None:
    """Lay a request of each signature beside the model in `folder`."""
    file = folder / "assets.extra" / "tf_serving_warmup_requests"
    file.parent.mkdir()
    with tf.io.TFRecordWriter(str(file)) as records:
        for signature in signatures:
            request = predict_pb2.PredictRequest()
            request.model_spec.signature_name = signature
            request.inputs["images"].CopyFrom(
                tf.make_tensor_proto(tf.zeros([1, SIZE, SIZE, 3], tf.uint8))
            )
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(request)
            records.write(log.SerializeToString())
