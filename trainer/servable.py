"""The exported model: a frozen network and the signatures that call it."""

from typing import Any

import keras
import run_folder
import tensorflow as tf
from calibration import Calibration
from network import SIZE, TOWERS
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2


class Servable(tf.Module):  # type: ignore[misc] # TensorFlow has no types
    """The towers as one frozen function, and the signatures `serving_default` and `explain`."""

    def __init__(self, network: Any, labels: list[str], calibration: Calibration) -> None:
        super().__init__()
        self._network, self._labels, self._calibration = network, labels, calibration
        images = [tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8, "images")]
        self.serving_default = tf.function(self._serving_default, input_signature=images)
        self.explain = tf.function(self._explain, input_signature=images)

    def save(self, folder: str) -> None:
        """Write a SavedModel."""
        signatures = {"serving_default": self.serving_default, "explain": self.explain}
        tf.saved_model.save(self, folder, signatures=signatures)

    def _serving_default(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = tf.reduce_mean(self._activations(images), [1, 2])
        return {**self._scores(logits), "labels": self._repeat_labels(images)}

    def _explain(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        activations = self._activations(images)
        logits = tf.reduce_mean(activations, [1, 2])
        top = tf.one_hot(tf.argmax(logits, 1), len(self._labels))
        heat = tf.nn.relu(tf.einsum("nhwc,nc->nhw", activations, top))
        highest = tf.reduce_max(heat, [1, 2], keepdims=True)
        heatmaps = tf.math.divide_no_nan(heat, highest)
        labels = self._repeat_labels(images)
        return {**self._scores(logits), "labels": labels, "heatmaps": heatmaps}

    def _activations(self, images: tf.Tensor) -> tf.Tensor:
        """Class activation maps [N, 8, 8, labels], whose means are logits (Zhou et al. 2016)."""
        (activations,) = self._network(images)
        return tf.ensure_shape(activations, [None, 8, 8, len(self._labels)])

    def _scores(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        return {
            "probabilities": tf.nn.softmax(logits / self._calibration.temperature),
            "in_domain": tf.sigmoid(self._calibration.evidence(tf.reduce_max(logits, 1))),
        }

    def _repeat_labels(self, images: tf.Tensor) -> tf.Tensor:
        """The labels for each image: string [N, labels], from the shape of `images` alone."""
        return tf.tile(tf.constant([self._labels]), [tf.shape(images)[0], 1])


def freeze(run: run_folder.Run) -> Any:
    """The towers with their head as one function without variables.

    uint8 [N, 299, 299, 3] in; class activation maps float32 [N, 8, 8, labels] out. Both
    signatures call it, so the file holds each weight once.
    """
    kernel = tf.Variable(run.kernel[:, : len(run.labels)])
    bias = tf.Variable(run.bias[: len(run.labels)])
    maps = {  # the input of each tower's pooling layer
        name: keras.Model(tower.input, tower.layers[-1].input) for name, tower in run.towers.items()
    }

    @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8, "images")])  # type: ignore[untyped-decorator]
    def network(images: tf.Tensor) -> tf.Tensor:
        scaled = tf.cast(images, tf.float32) / 127.5 - 1.0
        features = []
        for name, tower in maps.items():
            side = TOWERS[name].size
            resized = scaled if side == SIZE else tf.image.resize(scaled, [side, side])
            features.append(tower(resized, training=False))
        return tf.einsum("nhwf,fc->nhwc", tf.concat(features, 3), kernel) + bias

    return convert_variables_to_constants_v2(network.get_concrete_function())
