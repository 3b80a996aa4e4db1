"""Export the same weights as Keras itself does: float32, with every BatchNorm.

    python bench/peers/plain.py FOLDER

Its signature takes `images`, float32 [N, 299, 299, 3] in [-1, 1], and returns probabilities,
float32 [N, 7]. The float operations per image are written to `operations` beside FOLDER.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from network import SIZE, TOWERS

ROOT = Path(__file__).resolve().parents[2]
BASE_PATH = ROOT / "model/sport-classification-model"
VERSION = max(BASE_PATH.iterdir(), key=lambda folder: int(folder.name))


def head() -> tuple[np.ndarray, np.ndarray]:
    """Kernel [F, 7] and bias [7] of the head in our SavedModel."""
    loaded = tf.saved_model.load(str(VERSION)).signatures["explain"]
    constants = {
        node.name: tf.make_ndarray(node.attr["value"].tensor)
        for function in loaded.graph.as_graph_def().library.function
        for node in function.node_def
        if node.op == "Const"
    }
    kernel = next(v for k, v in constants.items() if k.startswith("einsum/Einsum/ReadVariableOp"))
    bias = next(v for k, v in constants.items() if k.startswith("add/ReadVariableOp"))
    return kernel.reshape(-1, bias.size).astype(np.float32), bias.astype(np.float32)


def main() -> None:
    provenance = json.loads((VERSION / "assets.extra/provenance.json").read_text())
    temperature = provenance["calibration"]["temperature"]
    images = keras.Input((SIZE, SIZE, 3), name="images")
    features = []
    for name in provenance["run"]["towers"]:
        tower = TOWERS[name]
        network = tower.layers()
        network.load_weights(ROOT / f"model/{name}_sports.weights.h5")
        resize = keras.layers.Resizing(tower.size, tower.size)
        features.append(network(images if tower.size == SIZE else resize(images)))
    kernel, bias = head()
    dense = keras.layers.Dense(bias.size, "softmax", name="head")
    joined = features[0] if len(features) == 1 else keras.layers.Concatenate()(features)
    model = keras.Model(images, dense(joined))
    dense.set_weights([kernel / temperature, bias / temperature])
    check(model)
    folder = Path(sys.argv[1])
    model.export(str(folder), verbose=False)
    (folder.parent / "operations").write_text(str(operations(model)))


def operations(model: keras.Model) -> int:
    """Float operations per image."""
    one = tf.TensorSpec([1, SIZE, SIZE, 3], tf.float32)
    traced = tf.function(model).get_concrete_function(one)
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return int(tf.compat.v1.profiler.profile(traced.graph, options=options).total_float_ops)


def check(model: keras.Model) -> None:
    """Exit when the two models disagree."""
    images = np.random.default_rng(7).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    ours = tf.saved_model.load(str(VERSION)).signatures["serving_default"](images=images)
    plain = model.predict_on_batch(images / 127.5 - 1)
    difference = abs(plain - ours["probabilities"].numpy()).max()
    if difference > 0.005:
        sys.exit(f"plain.py: probabilities differ by {difference:.4f}")


if __name__ == "__main__":
    main()
