"""Write a trained run as a SavedModel that TensorFlow Serving loads.

    python trainer/export.py --run-folder runs/first --data FOLDER --version 1

The signatures are `serving_default` and `explain`; model/README.md says what they hold.
Refuses to finish when the SavedModel and the Keras model disagree.
"""

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
import run_folder
import tensorflow as tf
from data import DataError, Picture, load, read
from features import BATCH_SIZE
from network import SIZE, TOWERS, on_pixels
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from tensorflow.core.framework import node_def_pb2, types_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

MODEL_NAME = "sport-classification-model"
DESTINATION = Path(__file__).resolve().parents[1] / "model" / MODEL_NAME
WARM_UP_BATCH_SIZES = (1, 2, 4, 8, 16)
KEPT_SHARE = 0.97  # of held-out pictures that in_domain puts at 0.5 or above
NEIGHBOUR = 10
TOLERANCE = 1e-3  # of a probability
COMPARED = 32  # pictures
LARGE = 1024  # numbers in a weight that is worth a cast


class ExportError(Exception):
    """The SavedModel is not what it should be; nothing was put in place."""


@dataclass(frozen=True)
class Calibration:
    """What turns logits and similarities into honest numbers.

    Probabilities are softmax(logits / temperature) (Guo et al. 2017). in_domain is
    sigmoid(e + s - threshold): e is the energy logsumexp(logits) (Liu et al. 2020), s the
    cosine similarity to the tenth nearest training picture (Sun et al. 2022), each less its
    mean and divided by its spread on held-out pictures.
    """

    temperature: float
    energy: tuple[float, float]
    similarity: tuple[float, float]
    threshold: float

    def evidence(self, energy: Any, similarity: Any) -> Any:
        """e + s; numbers, arrays or tensors."""
        (e_mean, e_spread), (s_mean, s_spread) = self.energy, self.similarity
        return (energy - e_mean) / e_spread + (similarity - s_mean) / s_spread


class Classifier(tf.Module):
    """The towers as one frozen function, and the signatures that call it."""

    def __init__(self, network: Any, labels: list[str], calibration: Calibration) -> None:
        super().__init__()
        self._network, self._labels, self._calibration = network, labels, calibration
        images = [tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8, "images")]
        self.serving_default = tf.function(self._serving_default, input_signature=images)
        self.explain = tf.function(self._explain, input_signature=images)

    def _serving_default(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        activations, similarity = self._seen(images)
        logits = tf.reduce_mean(activations, [1, 2])
        return {**self._answer(logits, similarity), "labels": self._label(images)}

    def _explain(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        activations, similarity = self._seen(images)
        logits = tf.reduce_mean(activations, [1, 2])
        top = tf.one_hot(tf.argmax(logits, 1), len(self._labels))
        heat = tf.nn.relu(tf.einsum("nhwc,nc->nhw", activations, top))
        highest = tf.reduce_max(heat, [1, 2], keepdims=True)
        heatmaps = tf.math.divide_no_nan(heat, highest)
        answer = self._answer(logits, similarity)
        return {**answer, "labels": self._label(images), "heatmaps": heatmaps}

    def _seen(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Class activation maps [N, 8, 8, labels], whose means are logits (Zhou et al. 2016),
        and similarities [N]."""
        activations, similarity = self._network(images)
        return (
            tf.ensure_shape(activations, [None, 8, 8, len(self._labels)]),
            tf.ensure_shape(similarity, [None]),
        )

    def _answer(self, logits: tf.Tensor, similarity: tf.Tensor) -> dict[str, tf.Tensor]:
        calibration = self._calibration
        evidence = calibration.evidence(tf.reduce_logsumexp(logits, 1), similarity)
        return {
            "probabilities": tf.nn.softmax(logits / calibration.temperature),
            "in_domain": tf.sigmoid(evidence - calibration.threshold),
        }

    def _label(self, images: tf.Tensor) -> tf.Tensor:
        """The labels for each picture; they need no more of it than that it is one."""
        return tf.tile(tf.constant([self._labels]), [tf.shape(images)[0], 1])


def export(folder: Path, data: Path, destination: Path, version: int) -> Path:
    """Export a run.

    Args:
        folder: what train.py wrote.
        data: the pictures it was trained on; the held-out ones calibrate and compare.
        destination: the model folder; the version's folder is made in it.
        version: a positive number that is not there yet.

    Returns:
        The version's folder.

    Raises:
        DataError, ExportError, FileNotFoundError
    """
    target = destination / str(version)
    if target.exists():
        raise ExportError(f"{target} is there already; a version is never changed")
    keras.config.set_dtype_policy("float32")
    run = run_folder.load(folder)
    pictures = read(data, folder / run_folder.MANIFEST)
    held_out = [picture for picture in pictures if picture.split == "validation"]

    logits, similarity = predict(run, held_out)
    classes = np.array([run.labels.index(picture.label) for picture in held_out])
    calibration = calibrate(logits, similarity, classes)
    print(f"calibration: {calibration}")
    module = Classifier(freeze(run), run.labels, calibration)
    unfinished = destination / f".{version}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    tf.saved_model.save(
        module,
        str(unfinished),
        signatures={"serving_default": module.serving_default, "explain": module.explain},
    )
    halve(unfinished / "saved_model.pb")
    write_warm_up(unfinished)
    write_provenance(unfinished, folder, calibration)
    expected = softmax(logits[:COMPARED] / calibration.temperature, axis=1)
    compare(unfinished, held_out[:COMPARED], expected)
    unfinished.rename(target)
    return target


def predict(run: run_folder.Run, pictures: list[Picture]) -> tuple[np.ndarray, np.ndarray]:
    """What Keras makes of pictures that are prepared as the gateway does.

    Returns:
        logits float32 [N, labels], and the cosine similarity of each picture to its
        NEIGHBOURth nearest training picture, float32 [N].
    """
    towers = {name: on_pixels(name, network) for name, network in run.towers.items()}
    batches: list[np.ndarray] = []
    similarities = []
    for images in load(pictures, SIZE, BATCH_SIZE):
        features = [tower.predict_on_batch(images) for tower in towers.values()]
        batches.append(np.concatenate(features, axis=1) @ run.kernel + run.bias)
        unit = features[0] / (np.linalg.norm(features[0], axis=1, keepdims=True) + 1e-12)
        similarities.append(np.sort(unit @ run.neighbours.T.astype(np.float32))[:, -nearest(run)])
    return np.concatenate(batches)[:, : len(run.labels)], np.concatenate(similarities)


def nearest(run: run_folder.Run) -> int:
    return min(NEIGHBOUR, len(run.neighbours))


def calibrate(logits: np.ndarray, similarity: np.ndarray, classes: np.ndarray) -> Calibration:
    """Fit temperature and in_domain.

    Args:
        logits: float32 [N, labels] of held-out pictures.
        similarity: float32 [N].
        classes: int [N], the right ones.
    """

    def loss(log_temperature: float) -> float:
        scores = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(scores[np.arange(len(classes)), classes].mean())

    temperature = float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))
    energy = np.logaddexp.reduce(logits, axis=1)
    scales = [
        (float(score.mean()), max(float(score.std()), 1e-3)) for score in (energy, similarity)
    ]
    scaled = Calibration(temperature, scales[0], scales[1], threshold=0.0)
    threshold = np.quantile(scaled.evidence(energy, similarity), 1 - KEPT_SHARE)
    return replace(scaled, threshold=float(threshold))


def freeze(run: run_folder.Run) -> Any:
    """The towers with their head as one function without variables.

    uint8 [N, 299, 299, 3] in; class activation maps float32 [N, 8, 8, labels] and
    similarities float32 [N] out. Both signatures call it, so the file holds each weight once.
    """
    kernel = tf.Variable(run.kernel[:, : len(run.labels)])
    bias = tf.Variable(run.bias[: len(run.labels)])
    neighbours = run.neighbours.T.astype(np.float32)
    count = neighbours.nbytes // 2**23 + 1  # TensorFlow folds casts of weights up to 10 MiB
    blocks = [tf.Variable(block) for block in np.array_split(neighbours, count, axis=1)]
    maps = {  # what a tower pools
        name: keras.Model(tower.input, tower.layers[-1].input) for name, tower in run.towers.items()
    }

    @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8, "images")])
    def network(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scaled = tf.cast(images, tf.float32) / 127.5 - 1.0
        features = []
        for name, tower in maps.items():
            side = TOWERS[name].size
            seen = scaled if side == SIZE else tf.image.resize(scaled, [side, side])
            features.append(tower(seen, training=False))
        activations = tf.einsum("nhwf,fc->nhwc", tf.concat(features, 3), kernel) + bias
        unit = tf.math.l2_normalize(tf.reduce_mean(features[0], [1, 2]), axis=1)
        similarities = tf.concat([tf.matmul(unit, block) for block in blocks], axis=1)
        return activations, tf.math.top_k(similarities, nearest(run)).values[:, -1]

    return convert_variables_to_constants_v2(network.get_concrete_function())


def halve(file: Path) -> None:
    """Store the large weights of a SavedModel in float16.

    What reads a frozen variable becomes a cast; TensorFlow folds it away when it loads the
    model, so that it costs nothing.

    Raises:
        ExportError: a weight is not one that float16 can hold.
    """
    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for function in saved_model.meta_graphs[0].graph_def.library.function:
        nodes = {node.name: node for node in function.node_def}
        casts = set()
        for node in function.node_def:
            weight = nodes.get(node.input[0].partition(":")[0]) if node.op == "Identity" else None
            if weight is None or weight.op != "Const" or not _halve_constant(weight):
                continue
            node.op = "Cast"
            node.attr["SrcT"].type, node.attr["DstT"].type = types_pb2.DT_HALF, types_pb2.DT_FLOAT
            del node.attr["T"]
            casts.add(node.name)
        for node in function.node_def:
            # An order of execution would keep a cast that has been folded away alive.
            given = [name for name in node.input if name.removeprefix("^") not in casts]
            node.input[:] = [
                name.replace(":output:", ":y:") if name.partition(":")[0] in casts else name
                for name in given
            ]
    file.write_bytes(saved_model.SerializeToString())


def _halve_constant(node: node_def_pb2.NodeDef) -> bool:
    if node.attr["dtype"].type != types_pb2.DT_FLOAT:
        return False
    weight = tf.make_ndarray(node.attr["value"].tensor)
    if weight.size < LARGE:
        return False
    with np.errstate(over="ignore"):
        half = weight.astype(np.float16)
    if not np.allclose(half, weight, rtol=1e-3, atol=1e-6):
        raise ExportError(f"float16 cannot hold the weight {node.name}")
    node.attr["dtype"].type = types_pb2.DT_HALF
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(half))
    return True


def write_provenance(version: Path, folder: Path, calibration: Calibration) -> None:
    """Say beside the model what it was made from, and with what."""
    made_with = ("tensorflow", "keras", "numpy", "scikit-learn", "pillow")
    provenance = {
        "run": json.loads((folder / "run.json").read_text()),
        "manifest_sha256": hashlib.sha256((folder / run_folder.MANIFEST).read_bytes()).hexdigest(),
        "calibration": asdict(calibration),
        "versions": {name: metadata.version(name) for name in made_with},
    }
    file = version / "assets.extra" / "provenance.json"
    file.write_text(json.dumps(provenance, indent=2) + "\n")


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
    asked = [("serving_default", size) for size in WARM_UP_BATCH_SIZES] + [("explain", 1)]
    for signature_name, size in asked:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = MODEL_NAME
        request.model_spec.signature_name = signature_name
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
