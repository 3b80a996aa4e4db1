"""Tiny SavedModels with predictable answers.

Those that the gateway's tests need lie in `models`, as importing TensorFlow takes longer than the
tests; to write them again: python saved_models.py
"""

from pathlib import Path

import tensorflow as tf  # type: ignore[import-untyped]

MODELS = Path(__file__).parent / "models"
SPORTS = ("badminton", "cricket", "karate", "soccer", "swimming", "tennis", "wrestling")


class ByColour(tf.Module):  # type: ignore[misc]
    """Our model's signatures; red images are cricket, green ones tennis, blue ones swimming."""

    def __init__(self, size: int = 32) -> None:
        super().__init__()
        images = tf.TensorSpec([None, size, size, 3], tf.uint8, "images")
        self.serving_default = tf.function(self._serving_default, input_signature=[images])
        self.explain = tf.function(self._explain, input_signature=[images])

    def _probabilities(self, images: tf.Tensor) -> tf.Tensor:
        red, green, blue = tf.unstack(tf.reduce_mean(tf.cast(images, tf.float32), [1, 2]), axis=1)
        zero = tf.zeros_like(red)
        logits = [zero, red, zero, zero, blue, green, zero]
        return tf.nn.softmax(tf.stack(logits, 1) / 16.0)

    def _serving_default(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = self._probabilities(images)
        return {
            "probabilities": probabilities,
            "labels": tf.tile(tf.constant([SPORTS]), [tf.shape(images)[0], 1]),
            "in_domain": tf.reduce_max(probabilities, 1),
        }

    def _explain(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        small = tf.image.resize(tf.cast(images, tf.float32), [8, 8])
        return {**self._serving_default(images), "heatmaps": tf.reduce_max(small, 3) / 255.0}


def write_sports_model(folder: Path, version: int = 1, size: int = 32) -> Path:
    module = ByColour(size)
    signatures = {"serving_default": module.serving_default, "explain": module.explain}
    tf.saved_model.save(module, str(folder / str(version)), signatures=signatures)
    return folder


def write_plain_keras_model(folder: Path) -> Path:
    """A Keras export like anyone's: float32 `input_7` in, three softmax scores out."""
    import keras

    inputs = keras.Input((16, 16, 3), name="input_7")
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    dense = keras.layers.Dense(3, activation="softmax", name="dense_5")
    model = keras.Model(inputs, dense(pooled))
    dense.set_weights([8.0 * tf.eye(3).numpy(), tf.zeros(3).numpy()])  # the strongest colour wins
    model.export(str(folder / "1"), verbose=False)
    return folder


if __name__ == "__main__":
    write_sports_model(MODELS / "sports")
    write_plain_keras_model(MODELS / "keras")
