"""Small SavedModels whose outputs show how a request was run, and networks of Keras.

They lie in `models`, as importing TensorFlow takes longer than the tests. To write them again:
python server_models.py
"""

import tarfile
import tempfile
from pathlib import Path

SIZE = 4  # pixels
MODELS = Path(__file__).parent / "models"
ARCHIVE = MODELS / "architectures.tar.xz"
ARCHITECTURES = ("MobileNetV3Small", "EfficientNetV2B0", "ConvNeXtTiny", "InceptionV3")
SIDES = {"InceptionV3": 75}  # the smallest that it takes; the others take 32
CLASSES = 7


def main() -> None:
    write_signatures(MODELS / "signatures/1")
    write_log_gamma(MODELS / "log_gamma/1")
    write_default(MODELS / "default/1")
    write_parsed(MODELS / "parsed/1")
    with tempfile.TemporaryDirectory() as folder:
        for name in ARCHITECTURES:
            write_architecture(Path(folder) / name / "1", name)
        with tarfile.open(ARCHIVE, "w:xz", preset=9) as archive:
            archive.add(folder, ".")


def write_signatures(folder: Path) -> None:
    """A model with several signatures.

    serving_default: the mean of each image, the size of the batch, labels, the label of the
        brightest channel, and the mean under a second name.
    unbatched: a sum over all images, without a batch dimension.
    log_gamma: log-gamma of the mean of each image, an operation that OpenVINO lacks.
    count: looks strings up in a table.
    types: the double of an input of each type.
    """
    import tensorflow as tf

    images = tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8, "images")
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a", "b"], [10, 20]), -1)
    types = ("float16", "float32", "float64", "int8", "int16", "int32", "int64")

    def serving_default(images: tf.Tensor) -> dict[str, tf.Tensor]:
        count = tf.shape(images)[0]
        mean = tf.reduce_mean(tf.cast(images, tf.float32), [1, 2, 3])
        channels = tf.reduce_mean(tf.cast(images, tf.float32), [1, 2])
        return {
            "mean": mean,
            "same": mean,
            "batch": tf.repeat(count, count),
            "labels": tf.tile(tf.constant([["a", "b"]]), [count, 1]),
            "brightest": tf.gather(tf.constant(["red", "grün", "blue"]), tf.argmax(channels, 1)),
        }

    functions = {
        "serving_default": (serving_default, [images]),
        "unbatched": (lambda images: {"sum": tf.reduce_sum(tf.cast(images, tf.int64))}, [images]),
        "log_gamma": (
            lambda images: {"log_gamma": tf.math.lgamma(tf.cast(images, tf.float32))},
            [images],
        ),
        "count": (
            lambda keys: {"values": table.lookup(keys)},
            [tf.TensorSpec([None], tf.string, "keys")],
        ),
        "types": (
            lambda **inputs: {f"{name}_out": value + value for name, value in inputs.items()},
            [tf.TensorSpec([None], name, name) for name in types],
        ),
    }
    module = tf.Module()
    module.table = table
    module.functions = {}
    for name, (function, specs) in functions.items():
        if name == "types":
            call = tf.function(function).get_concrete_function(**{s.name: s for s in specs})
        else:
            call = tf.function(function, input_signature=specs, autograph=False)
        module.functions[name] = call
    tf.saved_model.save(module, str(folder), signatures=module.functions)


def write_log_gamma(folder: Path) -> None:
    """A model whose only signature needs an operation that OpenVINO lacks."""
    import tensorflow as tf

    spec = tf.TensorSpec([None], tf.float32, "x")
    function = tf.function(lambda x: {"y": tf.math.lgamma(x)}, input_signature=[spec])
    module = tf.Module()
    module.function = function
    tf.saved_model.save(module, str(folder), signatures=function.get_concrete_function())


def write_default(folder: Path) -> None:
    """A model that doubles an input that has a default, and one that joins strings."""
    import tensorflow as tf

    spec = tf.TensorSpec([1], tf.float32, "x")

    def double(x: tf.Tensor = tf.constant([5.0])) -> dict[str, tf.Tensor]:  # noqa: B008
        return {"y": 2 * x}

    def join(x: tf.Tensor) -> dict[str, tf.Tensor]:
        label = tf.gather(tf.constant(["a", "b"]), tf.cast(x, tf.int64))
        return {"name": tf.strings.join([label, tf.constant("c")])}

    module = tf.Module()
    module.serving_default = tf.function(double, input_signature=[spec])
    module.join = tf.function(join, input_signature=[spec])
    signatures = {"serving_default": module.serving_default, "join": module.join}
    tf.saved_model.save(module, str(folder), signatures=signatures)


def write_parsed(folder: Path) -> None:
    """A model of TensorFlow 1 that doubles x, which its graph reads from an Example."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default(), tf.Session() as session:
        examples = tf.placeholder(tf.string, [None])
        x = tf.parse_example(examples, {"x": tf.FixedLenFeature([1], tf.float32)})["x"]
        tf.saved_model.simple_save(session, str(folder), {"x": x}, {"y": 2 * x})


def write_architecture(folder: Path, name: str) -> None:
    """A network, and what it computes for two images, in expected.npz.

    The numbers in its weights repeat, so that they take little space compressed.
    """
    import keras
    import numpy as np

    rng = np.random.default_rng(7)
    side = SIDES.get(name, 32)
    model = getattr(keras.applications, name)(
        weights=None, classes=CLASSES, input_shape=(side, side, 3)
    )
    for weight in model.weights:
        if weight.name == "kernel":
            inputs = np.prod(weight.shape[:-1])
            weight.assign(np.resize(rng.normal(0, inputs**-0.5, 251), weight.shape))
    images = rng.uniform(-1, 1, (64, side, side, 3)).astype(np.float32)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(images, training=True)  # sets the statistics; without them all outputs are alike
    model.export(str(folder), verbose=False)
    images = images[:2]
    np.savez(folder.parent / "expected.npz", images=images, outputs=model(images).numpy())


if __name__ == "__main__":
    main()
