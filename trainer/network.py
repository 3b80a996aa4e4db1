"""InceptionV3 with a linear head, and the same network with its BatchNorms folded away."""

from pathlib import Path

import keras
import numpy as np

BACKBONE = "inception_v3"


def build(classes: int, base_weights: str | None = None, dropout: float = 0.3) -> keras.Model:
    """uint8 pictures [N, H, W, 3] in, float32 logits [N, classes] out.

    Pixels are scaled inside, x / 127.5 - 1, as keras.applications.inception_v3 does.

    Args:
        classes: how many labels there are.
        base_weights: "imagenet", a file of InceptionV3's weights without its top, or
            None for random ones.
        dropout: the share of pooled features that training leaves out.

    Raises:
        FileNotFoundError: there is no such file.
    """
    from_file = base_weights not in (None, "imagenet")
    if from_file and not Path(str(base_weights)).is_file():
        raise FileNotFoundError(f"no base weights: {base_weights}")
    backbone = keras.applications.InceptionV3(
        weights=None if from_file else base_weights,
        include_top=False,
        input_shape=(None, None, 3),
        pooling="avg",
        name=BACKBONE,
    )
    if from_file:
        backbone.load_weights(base_weights)
    images = keras.Input((None, None, 3), dtype="uint8", name="images")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(images)
    pooled = keras.layers.Dropout(dropout)(backbone(scaled, training=False))  # BatchNorm stays put
    logits = keras.layers.Dense(classes, dtype="float32", name="head")(pooled)
    return keras.Model(images, logits)


def fold(backbone: keras.Model) -> keras.Model:
    """Fold each BatchNormalization into the convolution before it.

    kernel' = kernel * gamma / sqrt(variance + epsilon),
    bias' = beta - mean * gamma / sqrt(variance + epsilon) (Jacob et al. 2018, eq. 14).

    Args:
        backbone: InceptionV3 without its top.

    Returns:
        float32 pictures [N, H, W, 3] in, the last feature maps [N, h, w, 2048] out.
    """
    norms = {
        norm.input._keras_history.operation.name: norm
        for norm in backbone.layers
        if isinstance(norm, keras.layers.BatchNormalization)
    }

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if layer.name in norms:
            return keras.layers.Conv2D.from_config({**config, "use_bias": True, "dtype": "float32"})
        if isinstance(layer, keras.layers.BatchNormalization):
            return keras.layers.Activation("linear", name=layer.name)
        return type(layer).from_config({**config, "dtype": "float32"})

    folded = keras.models.clone_model(
        backbone,
        clone_function=replace,
        call_function=lambda layer, *inputs, **_: layer(*inputs),  # BatchNorm takes a mask, too
    )
    for name, norm in norms.items():
        folded.get_layer(name).set_weights(_folded(backbone.get_layer(name), norm))
    return keras.Model(folded.input, folded.get_layer("mixed10").output)


def _folded(
    convolution: keras.layers.Conv2D, norm: keras.layers.BatchNormalization
) -> list[np.ndarray]:
    kernel = np.asarray(convolution.kernel, np.float64)
    mean, variance, beta = (
        np.asarray(weight, np.float64)
        for weight in (norm.moving_mean, norm.moving_variance, norm.beta)
    )
    gamma = np.asarray(norm.gamma, np.float64) if norm.scale else 1.0
    factor = gamma / np.sqrt(variance + norm.epsilon)
    return [kernel * factor, beta - mean * factor]
