"""Small towers and small drawn images, so that most tests need no large network."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import keras
import network
import pytest
from kaggle_folder import write_folder
from keras import layers

TINY, TINY_299 = "tiny", "tiny_299"


def tiny_tower(name: str, stride: int) -> keras.Model:
    """A network of the kinds of layers that the real towers have."""
    images = keras.Input((None, None, 3))
    x = layers.Conv2D(16, 5, stride, "same", use_bias=False, name="stem")(images)
    x = layers.BatchNormalization(scale=False, name="stem_norm")(x)
    x = layers.Activation("relu", name="stem_relu")(x)
    x = layers.DepthwiseConv2D(3, 2, "same", use_bias=False, name="depthwise")(x)
    x = entry = layers.BatchNormalization(name="depthwise_norm")(x)
    x = layers.Conv2D(16, 1, use_bias=False, name="point")(x)
    x = layers.BatchNormalization(name="point_norm")(x)
    x = layers.Add(name="add")([layers.ReLU(6.0, name="point_relu")(x), entry])
    pooled = layers.AveragePooling2D(3, 1, "same", name="average")(x)
    x = layers.Concatenate(name="concatenate")([x, pooled])
    x = layers.Conv2D(32, 4, 4, "same", use_bias=False, name="top")(x)
    x = layers.BatchNormalization(name="top_norm")(x)
    x = layers.ReLU(6.0, name="top_relu")(x)
    pooled = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(images, pooled, name=name)


TINY_TOWERS = {  # with maps of 8 x 8, as the real ones
    TINY: network.Tower(partial(tiny_tower, TINY, 4), 256, "stem_relu", bfloat16=False),
    TINY_299: network.Tower(partial(tiny_tower, TINY_299, 5), 299, "stem_relu", bfloat16=False),
}


@pytest.fixture(scope="module")
def tiny() -> Iterator[None]:
    """Replaces the towers with the small ones."""
    real = dict(network.TOWERS)
    network.TOWERS.clear()
    network.TOWERS.update(TINY_TOWERS)
    yield
    network.TOWERS.clear()
    network.TOWERS.update(real)


@pytest.fixture(autouse=True)
def _precision_is_reset() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the Kaggle layout: three labels with seven images each."""
    return write_folder(tmp_path_factory.mktemp("data") / "kaggle", ("karate", "soccer", "tennis"))
