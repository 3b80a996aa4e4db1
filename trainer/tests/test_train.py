import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import head
import keras
import numpy as np
import pytest
import tensorflow as tf
from data import DataError
from export import Calibration, Classifier, ExportError, calibrate, export, halve
from processor import use_precision
from scipy.special import softmax
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2
from train import read_flags, towers_of

TRAINER = Path(__file__).parents[1]
OLD_OPS = {  # all of them are older than TensorFlow 2.16
    *("AddV2", "ArgMax", "AvgPool", "BiasAdd", "Cast", "ConcatV2", "Const", "Conv2D", "DivNoNan"),
    *("Einsum", "EnsureShape", "Equal", "Exp", "GreaterEqual", "Identity", "IsFinite", "Log"),
    *("MatMul", "Max", "MaxPool", "Mean", "Merge", "Mul", "NoOp", "OneHot", "Pack"),
    *("PartitionedCall", "Placeholder", "RealDiv", "Relu", "Reshape", "SelectV2", "Shape"),
    *("Sigmoid", "Softmax", "Squeeze", "StatefulPartitionedCall", "StopGradient", "StridedSlice"),
    *("Rsqrt", "Square", "Maximum", "TopKV2", "DepthwiseConv2dNative", "Relu6", "ResizeBilinear"),
    *("Sub", "Sum", "Tile", "Transpose", "ZerosLike", "MergeV2Checkpoints", "RestoreV2"),
    *("SaveV2", "ShardedFilename", "StaticRegexFullMatch", "StringJoin", "Select"),
}


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `train.py --smoke` leaves: head, all layers and export on pictures it drew itself."""
    folder = tmp_path_factory.mktemp("smoke")
    command = [sys.executable, "train.py", "--smoke", "--run-folder", str(folder)]
    run = subprocess.run(command, cwd=TRAINER, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    return folder


def test_the_smoke_run_does_everything(run_folder: Path) -> None:
    run = json.loads((run_folder / "run.json").read_text())
    assert run["towers"] == ["inception_v3", "efficientnet_lite2"]
    assert run["pictures"]["train"] + run["pictures"]["validation"] == 56
    for tower in run["towers"]:
        assert (run_folder / f"{tower}.weights.h5").is_file()
        assert len((run_folder / tower / "log.csv").read_text().splitlines()) == 2


def signatures(folder: Path) -> dict:
    return tf.saved_model.load(str(folder)).signatures


@pytest.fixture(scope="module")
def exported(run_folder: Path) -> Path:
    return run_folder / "exported" / "1"


def test_what_the_signatures_take_and_give(exported: Path) -> None:
    images = tf.constant(np.random.default_rng(0).integers(0, 256, (3, 299, 299, 3), np.uint8))
    shapes = {"probabilities": (3, 7), "labels": (3, 7), "in_domain": (3,)}
    for name, expected in (
        ("serving_default", shapes),
        ("explain", {**shapes, "heatmaps": (3, 8, 8)}),
    ):
        outputs = signatures(exported)[name](images=images)
        assert {key: tuple(value.shape) for key, value in outputs.items()} == expected
        np.testing.assert_allclose(tf.reduce_sum(outputs["probabilities"], 1), 1, atol=1e-5)
        assert outputs["labels"][2, 0] == b"badminton"
    assert float(tf.reduce_min(outputs["heatmaps"])) >= 0
    assert float(tf.reduce_max(outputs["heatmaps"])) <= 1


def test_each_weight_is_there_once_and_in_half_precision(exported: Path) -> None:
    size = sum(file.stat().st_size for file in exported.rglob("*") if file.is_file())
    assert 53e6 < size < 60e6


def test_float16_has_to_hold_the_weights(tmp_path: Path) -> None:
    module = tf.Module()
    weights = np.full((64, 64), 1e6, np.float32)
    numbers = [tf.TensorSpec([None, 64], tf.float32)]
    module.serve = tf.function(
        lambda x: x @ tf.identity(tf.constant(weights)), input_signature=numbers
    )
    tf.saved_model.save(module, str(tmp_path), signatures=module.serve)
    with pytest.raises(ExportError, match="float16 cannot hold"):
        halve(tmp_path / "saved_model.pb")


def test_it_loads_the_way_tensorflow_serving_does(exported: Path) -> None:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], str(exported))
        for signature in ("serving_default", "explain"):
            definition = graph.signature_def[signature]
            outputs = {name: info.name for name, info in definition.outputs.items()}
            feed = {definition.inputs["images"].name: np.zeros((1, 299, 299, 3), np.uint8)}
            assert session.run(outputs, feed)["probabilities"].shape == (1, 7)


def test_labels_need_no_network() -> None:
    """So that a server can take words from TensorFlow and numbers from elsewhere."""

    @tf.function
    def network(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seen = tf.cast(images[:, :8, :8, :2], tf.float32)
        return seen, tf.reduce_mean(seen, [1, 2, 3])

    classifier = Classifier(network, ["a", "b"], Calibration(1.0, (0.0, 1.0), (0.0, 1.0), 0.0))
    for signature in (classifier.serving_default, classifier.explain):
        graph = signature.get_concrete_function().graph

        def asks_network(output: str, graph: Any = graph) -> bool:
            name = graph.structured_outputs[output].op.name
            needed = tf.compat.v1.graph_util.extract_sub_graph(graph.as_graph_def(), [name])
            return any(node.op.endswith("PartitionedCall") for node in needed.node)

        assert asks_network("probabilities")
        assert not asks_network("labels")


def test_no_op_is_too_new_for_older_servers(exported: Path) -> None:
    model = saved_model_pb2.SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    graph = model.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    assert {node.op for node in nodes} <= OLD_OPS


def test_the_warm_up_requests(exported: Path) -> None:
    file = exported / "assets.extra" / "tf_serving_warmup_requests"
    assert file.stat().st_size < 10_000
    asked = []
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        images = tf.make_ndarray(request.inputs["images"])
        assert (images.shape[1:], images.dtype) == ((299, 299, 3), np.uint8)
        asked.append((request.model_spec.signature_name, len(images)))
    sizes = [1, 2, 4, 8, 16]
    assert asked == [*(("serving_default", size) for size in sizes), ("explain", 1)]


def test_a_version_is_never_overwritten(run_folder: Path) -> None:
    with pytest.raises(ExportError, match="is there already"):
        export(run_folder, run_folder, run_folder / "exported", version=1)


def test_calibration_finds_the_temperature_and_keeps_what_it_should() -> None:
    rng = np.random.default_rng(1)
    honest = rng.normal(0, 2, (20_000, 7))
    classes = np.array([rng.choice(7, p=row) for row in softmax(honest, axis=1)])
    similarity = rng.uniform(0.5, 1, 20_000)
    found = calibrate(3 * honest, similarity, classes)
    assert found.temperature == pytest.approx(3, rel=0.05)
    energy = np.logaddexp.reduce(3 * honest, axis=1)
    kept = (found.evidence(energy, similarity) >= found.threshold).mean()
    assert kept == pytest.approx(0.97, abs=0.001)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_separates_what_can_be_separated(classes: int) -> None:
    rng = np.random.default_rng(2)
    right = rng.integers(0, classes, 300)
    centres = 5 * rng.normal(size=(classes, 20)) + 100
    features = (centres[right] + rng.normal(size=(300, 20))).astype(np.float32)
    kernel, bias = head.fit(features, right, c=1e-3)
    assert (kernel.shape, bias.shape) == ((20, classes), (classes,))
    assert ((features @ kernel + bias).argmax(1) == right).mean() == 1


def test_base_weights_name_their_tower() -> None:
    given = ["inception_v3=imagenet", "efficientnet_lite2=a=b.h5"]
    assert towers_of(given) == [("inception_v3", "imagenet"), ("efficientnet_lite2", "a=b.h5")]
    for wrong in ("imagenet", "resnet=imagenet", "inception_v3="):
        with pytest.raises(DataError, match="is not TOWER=WEIGHTS"):
            towers_of([wrong])


def test_precision_follows_processor_and_tower(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    try:
        for flags, gains, expected in (
            ("avx2 avx512_bf16", True, "bfloat16"),
            ("avx2 avx512_bf16", False, "float32"),
            ("avx2", True, "float32"),
        ):
            cpuinfo.write_text(f"flags : {flags}")
            assert use_precision("auto", gains, cpuinfo) == expected
            policy = "mixed_bfloat16" if expected == "bfloat16" else "float32"
            assert keras.config.dtype_policy().name == policy
    finally:
        use_precision("float32", True)


def test_data_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_flags([])
    assert "--data is missing" in capsys.readouterr().err
