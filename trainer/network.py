"""The towers: networks that turn an image into features, and a linear head on top.

A tower's BatchNorms are folded into its convolutions before training. This fixes the
statistics of the base weights, a training step takes two thirds of the time, and the
trained network is the exported one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers

SIZE = 299  # height and width of the model's input


@dataclass(frozen=True)
class Tower:
    """A base network.

    Attributes:
        layers: builds it without its top, with global average pooling.
        size: its input's height and width when the model's is SIZE.
        frozen: the last layer that tuning does not train.
        bfloat16: whether it is faster in bfloat16; depthwise convolutions are not.
    """

    layers: Callable[[], keras.Model]
    size: int
    frozen: str
    bfloat16: bool


def inception_v3() -> keras.Model:
    return keras.applications.InceptionV3(
        weights=None, include_top=False, input_shape=(None, None, 3), pooling="avg"
    )


# Repeats, kernel, stride, expansion and filters of each stage: Tan and Le (2019), table 1, at
# width 1.1 and depth 1.2. The Lite variant keeps stem, first and last stage as in B0, has no
# squeeze-and-excitation, and uses ReLU6 instead of swish.
LITE2_STAGES = (
    (1, 3, 1, 1, 16),
    (3, 3, 2, 6, 24),
    (3, 5, 2, 6, 48),
    (4, 3, 2, 6, 88),
    (4, 5, 1, 6, 120),
    (5, 5, 2, 6, 208),
    (1, 3, 1, 6, 352),
)


def efficientnet_lite2() -> keras.Model:
    images = keras.Input((None, None, 3))
    x = _normalized(layers.Conv2D(32, 3, 2, "same", use_bias=False, name="stem"), images)
    block = 0
    for repeats, kernel, stride, expansion, filters in LITE2_STAGES:
        for repeat in range(repeats):
            x = _inverted_bottleneck(
                x, f"block{block}", kernel, 1 if repeat else stride, expansion, filters
            )
            block += 1
    x = _normalized(layers.Conv2D(1280, 1, use_bias=False, name="top"), x)
    pooled = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(images, pooled, name="efficientnet_lite2")


def _inverted_bottleneck(
    x: keras.KerasTensor, name: str, kernel: int, stride: int, expansion: int, filters: int
) -> keras.KerasTensor:
    entry = x
    if expansion > 1:
        wide = x.shape[-1] * expansion
        x = _normalized(layers.Conv2D(wide, 1, use_bias=False, name=f"{name}_expand"), x)
    depthwise = layers.DepthwiseConv2D(
        kernel, stride, "same", use_bias=False, name=f"{name}_depthwise"
    )
    x = _normalized(depthwise, x)
    project = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project")
    x = _normalized(project, x, relu=False)
    if stride == 1 and entry.shape[-1] == filters:
        x = layers.Add(name=f"{name}_add")([entry, x])
    return x


def _normalized(
    convolution: layers.Layer, x: keras.KerasTensor, relu: bool = True
) -> keras.KerasTensor:
    x = layers.BatchNormalization(name=f"{convolution.name}_norm")(convolution(x))
    return layers.ReLU(6.0, name=f"{convolution.name}_relu")(x) if relu else x


TOWERS = {
    "inception_v3": Tower(inception_v3, SIZE, "mixed2", bfloat16=True),
    "efficientnet_lite2": Tower(efficientnet_lite2, 256, "block6_add", bfloat16=False),
}


def backbone(tower: str, base_weights: str) -> keras.Model:
    """A tower with its BatchNorms folded: scaled pixels in, pooled features [N, F] out.

    Args:
        tower: a key of TOWERS.
        base_weights: "imagenet" (InceptionV3 only), a file of the tower's weights, or "none"
            for random weights.

    Raises:
        FileNotFoundError: there is no such file.
    """
    network = TOWERS[tower].layers()
    if base_weights == "imagenet":
        network = keras.applications.InceptionV3(
            weights="imagenet", include_top=False, input_shape=(None, None, 3), pooling="avg"
        )
    elif base_weights != "none":
        if not Path(base_weights).is_file():
            raise FileNotFoundError(f"no base weights: {base_weights}")
        network.load_weights(base_weights)
    return fold(network)


def on_pixels(tower: str, network: keras.Model, image_size: int = SIZE) -> keras.Model:
    """The same network on uint8 pixels [N, image_size, image_size, 3].

    They are scaled to x / 127.5 - 1, as both towers were trained, and resized to the
    tower's input size.
    """
    images = keras.Input((image_size, image_size, 3), dtype="uint8", name="images")
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(images)
    side = image_size * TOWERS[tower].size // SIZE
    if side != image_size:
        x = layers.Resizing(side, side)(x)
    return keras.Model(images, network(x), name=f"{tower}_on_pixels")


def classifier(
    towers: Mapping[str, keras.Model],
    kernel: np.ndarray,
    bias: np.ndarray,
    image_size: int = SIZE,
    dropout: float = 0.0,
) -> keras.Model:
    """uint8 pixels [N, image_size, image_size, 3] in, float32 logits [N, C] out.

    Args:
        towers: backbones by name; their features are concatenated.
        kernel: float32 [F, C] of the layer "head" on all features.
        bias: float32 [C].
        image_size: height and width, in pixels.
        dropout: the share of features that are dropped in training.
    """
    images = keras.Input((image_size, image_size, 3), dtype="uint8", name="images")
    features = [on_pixels(name, network, image_size)(images) for name, network in towers.items()]
    x = features[0] if len(features) == 1 else layers.Concatenate()(features)
    logits = layers.Dense(kernel.shape[1], dtype="float32", name="head")
    model = keras.Model(images, logits(layers.Dropout(dropout)(x)))
    logits.set_weights([kernel, bias])
    return model


def fold(network: keras.Model) -> keras.Model:
    """Fold each BatchNormalization into the convolution before it.

    kernel' = kernel * gamma / sqrt(variance + epsilon),
    bias' = beta - mean * gamma / sqrt(variance + epsilon) (Jacob et al. 2018, eq. 14).
    """
    norms = _norms(network)

    def replace(layer: layers.Layer) -> layers.Layer:
        config = layer.get_config()
        if layer.name in norms:
            return type(layer).from_config({**config, "use_bias": True})
        if isinstance(layer, layers.BatchNormalization):
            return layers.Activation("linear", name=layer.name)
        return type(layer).from_config(config)

    folded = keras.models.clone_model(
        network,
        clone_function=replace,
        call_function=lambda layer, *inputs, **_: layer(*inputs),  # drops BatchNorm's mask
    )
    folded.name = network.name
    for name, norm in norms.items():
        convolution = network.get_layer(name)
        mean, variance, beta = (
            np.asarray(weight, np.float64)
            for weight in (norm.moving_mean, norm.moving_variance, norm.beta)
        )
        gamma = np.asarray(norm.gamma, np.float64) if norm.scale else 1.0
        factor = gamma / np.sqrt(variance + norm.epsilon)
        kernel = np.asarray(convolution.kernel, np.float64)
        depthwise = isinstance(convolution, layers.DepthwiseConv2D)
        folded.get_layer(name).set_weights(
            [kernel * (factor[:, None] if depthwise else factor), beta - mean * factor]
        )
    return folded


def unfold(tower: str, folded: keras.Model) -> keras.Model:
    """The inverse of `fold`: the tower with BatchNorms that only add the bias.

    Its weights file can be loaded by `backbone` and, for InceptionV3, by Keras itself.
    """
    network = TOWERS[tower].layers()
    names = [
        layer.name for layer in network.layers
    ]  # Keras numbers InceptionV3's layers anew each time
    counterparts = dict(zip(names, folded.layers, strict=True))
    for name, norm in _norms(network).items():
        kernel, bias = counterparts[name].get_weights()
        network.get_layer(name).set_weights([kernel])
        ones, zeros = np.ones_like(bias), np.zeros_like(bias)
        norm.set_weights([ones] * norm.scale + [bias, zeros, ones - norm.epsilon])
    return network


def save_base_weights(tower: str, folded: keras.Model, file: Path) -> None:
    """Write a tower in float16, as `backbone` reads it. Saving it again loses no precision."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float16")
    try:
        network = unfold(tower, folded)
    finally:
        keras.config.set_dtype_policy(policy)
    network.save_weights(file)


def _norms(network: keras.Model) -> dict[str, layers.BatchNormalization]:
    """Each BatchNormalization by the name of the convolution before it."""
    return {
        layer.input._keras_history.operation.name: layer
        for layer in network.layers
        if isinstance(layer, layers.BatchNormalization)
    }
