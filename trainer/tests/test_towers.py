"""The real towers with random weights, from Keras to the SavedModel. Each is built once."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import run_folder
from data import read_images, write_manifest
from export import export
from network import TOWERS, fold, save_base_weights
from random_networks import SCALED, assert_close, outputs, randomise_statistics
from run_folder import Run
from splits import split
from tensorflow.core.protobuf import saved_model_pb2

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
FEATURES = {"inception_v3": 2048, "efficientnet_lite2": 1280}
LABELS = ["karate", "soccer", "tennis"]


@pytest.fixture(scope="module")
def networks() -> dict[str, keras.Model]:
    keras.utils.set_random_seed(4)
    return {name: randomise_statistics(tower.layers()) for name, tower in TOWERS.items()}


@pytest.fixture(scope="module")
def folded(networks: dict[str, keras.Model]) -> dict[str, keras.Model]:
    return {name: fold(network) for name, network in networks.items()}


@pytest.fixture(scope="module")
def trained(
    folded: dict[str, keras.Model], folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run folder as train.py writes it, with a random head."""
    run = tmp_path_factory.mktemp("run")
    for tower, network in folded.items():
        save_base_weights(tower, network, run_folder.weights_file(run, tower))
    rng = np.random.default_rng(3)
    kernel = rng.normal(0, 0.01, (sum(FEATURES.values()), len(LABELS))).astype(np.float32)
    bias = np.zeros(len(LABELS), np.float32)
    run_folder.save(run, Run(LABELS, [], folded, kernel, bias), {})
    images = read_images(folder)
    write_manifest(run / run_folder.MANIFEST, split(images, np.eye(len(images)), seed=1), folder)
    return run


@pytest.fixture(scope="module")
def loaded(trained: Path) -> Run:
    return run_folder.load(trained)


@pytest.fixture(scope="module")
def exported(
    trained: Path, loaded: Run, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What export.py writes; it also compares its outputs with those of Keras."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("run_folder.load", lambda _: loaded)
        return export(trained, folder, tmp_path_factory.mktemp("model"), version=1)


@pytest.mark.parametrize("tower", TOWERS)
def test_folding_changes_no_output(
    tower: str, networks: dict[str, keras.Model], folded: dict[str, keras.Model]
) -> None:
    assert not any(isinstance(la, keras.layers.BatchNormalization) for la in folded[tower].layers)
    assert folded[tower].name == tower  # tune.py finds it in the classifier by this name
    assert_close(outputs(folded[tower], SCALED), outputs(networks[tower], SCALED))


@pytest.mark.parametrize("tower", TOWERS)
def test_saved_base_weights_give_the_same_features(
    tower: str, networks: dict[str, keras.Model], trained: Path, loaded: Run
) -> None:
    size = run_folder.weights_file(trained, tower).stat().st_size
    assert size < 2.2 * networks[tower].count_params()
    actual, expected = (outputs(nets[tower], SCALED) for nets in (loaded.towers, networks))
    assert expected.shape == (2, FEATURES[tower])
    assert_close(actual, expected, rtol=0.02)


@pytest.mark.parametrize("tower", TOWERS)
def test_maps_are_eight_by_eight(tower: str, networks: dict[str, keras.Model]) -> None:
    network, side = networks[tower], TOWERS[tower].size
    maps = keras.Model(network.input, network.layers[-1].input)
    assert maps.compute_output_shape((1, side, side, 3))[1:3] == (8, 8)


@pytest.mark.parametrize("tower", TOWERS)
def test_the_last_frozen_layer_is_in_the_first_half(
    tower: str, networks: dict[str, keras.Model]
) -> None:
    names = [layer.name for layer in networks[tower].layers]
    assert 0 < names.index(TOWERS[tower].frozen) < len(names) / 2


def test_the_run_names_its_towers(trained: Path) -> None:
    assert json.loads((trained / "run.json").read_text())["towers"] == list(FEATURES)


def test_each_weight_is_stored_once_in_half_precision(exported: Path) -> None:
    size = sum(file.stat().st_size for file in exported.rglob("*") if file.is_file())
    assert 53e6 < size < 60e6


def test_no_operation_is_too_new_for_older_servers(exported: Path) -> None:
    model = saved_model_pb2.SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    graph = model.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    assert {node.op for node in nodes} <= OLD_OPS
