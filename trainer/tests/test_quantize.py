"""A small model, exported as the large one is, and what quantization makes of it."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import head
import numpy as np
import openvino
import pytest
import quantize
import tensorflow as tf
from data import DataError, Picture, labels_of, load, read, write_manifest
from draw_samples import write_dataset
from evaluate import Answers
from export import Calibration, Classifier, halve
from network import SIZE
from quantize import (
    FILE,
    QuantizationError,
    ask,
    check,
    head_of,
    numbers_of,
    write_int8,
)
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

FLOAT = {"f16", "f32"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "kaggle"
    write_dataset(folder, pictures_per_label=4, seed=3)
    return folder


@pytest.fixture(scope="module")
def manifest(data: Path) -> Path:
    pictures = [
        replace(picture, split="train" if i % 4 else "validation")
        for i, picture in enumerate(read(data))
    ]
    file = data / "manifest.csv"
    write_manifest(file, pictures, data)
    return file


@pytest.fixture(scope="module")
def version(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of three convolutions, and a head that knows all the pictures."""
    rng = np.random.default_rng(5)
    shapes = ((38, 38, 3, 32), (3, 3, 32, 1), (1, 1, 32, 64))
    stem, depthwise, point = (
        tf.Variable(rng.normal(0, np.prod(shape[:3]) ** -0.5, shape).astype(np.float32))
        for shape in shapes
    )

    def maps(images: tf.Tensor) -> tf.Tensor:
        x = tf.cast(images, tf.float32) / 127.5 - 1.0
        x = tf.nn.relu6(tf.nn.conv2d(x, stem, 38, "SAME"))
        x = tf.nn.relu6(tf.nn.depthwise_conv2d(x, depthwise, [1, 1, 1, 1], "SAME"))
        return tf.nn.relu(tf.nn.conv2d(x, point, 1, "SAME"))

    pictures = read(data)
    labels = labels_of(pictures)
    (images,) = load(pictures, SIZE, len(pictures))
    features = tf.reduce_mean(maps(images), [1, 2]).numpy()
    classes = np.array([labels.index(picture.label) for picture in pictures])
    kernel, bias = map(tf.Variable, head.fit(features, classes, c=10.0))
    energy = tf.reduce_logsumexp(features @ kernel + bias, 1).numpy()
    scale = (float(energy.mean()), float(energy.std()))
    neighbours = tf.Variable(tf.math.l2_normalize(features, 1).numpy().T)

    @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8, "images")])
    def network(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seen = maps(images)
        unit = tf.math.l2_normalize(tf.reduce_mean(seen, [1, 2]), 1)
        activations = tf.einsum("nhwf,fc->nhwc", seen, kernel) + bias
        return activations, tf.reduce_max(tf.matmul(unit, neighbours), 1)

    frozen = convert_variables_to_constants_v2(network.get_concrete_function())
    module = Classifier(frozen, labels, Calibration(4.0, scale, (0.9, 0.1), -2.0))
    folder = tmp_path_factory.mktemp("model") / "1"
    tf.saved_model.save(module, str(folder), signatures=module.serving_default)
    halve(folder / "saved_model.pb")
    return folder


@pytest.fixture(scope="module")
def calibrated_on(version: Path, data: Path, manifest: Path) -> Sequence[Picture]:
    """Quantizes the version; the pictures that its ranges are from."""
    seen: list[Picture] = []
    original = quantize.quantize

    def remember(model: openvino.Model, pictures: Sequence[Picture]) -> openvino.Model:
        seen.extend(pictures)
        return original(model, pictures)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantize, "quantize", remember)
        assert "same label for 7 of 7" in write_int8(version, data, manifest)
    return seen


def test_held_out_pictures_calibrate_nothing(calibrated_on: Sequence[Picture]) -> None:
    assert len(calibrated_on) == 21
    assert {picture.split for picture in calibrated_on} == {"train"}


def weight_type(operation: openvino.Node) -> str:
    """How the file holds what an operation multiplies with."""
    node = operation.input_value(1).get_node()
    while node.get_type_name() != "Constant":
        node = node.input_value(0).get_node()
    return str(node.get_element_type().get_type_name())


@pytest.mark.usefixtures("calibrated_on")
def test_convolutions_are_int8_and_the_head_is_not(version: Path) -> None:
    model = openvino.Core().read_model(version / FILE)
    for kind, expected in (
        ("Convolution", {"i8"}),
        ("GroupConvolution", {"i8"}),
        ("Einsum", FLOAT),
        ("MatMul", FLOAT),
    ):
        types = {weight_type(op) for op in model.get_ops() if op.get_type_name() == kind}
        assert types, kind
        assert types <= expected, kind
    behind = set(head_of(model))
    types = {op.get_type_name() for op in model.get_ops() if op.get_friendly_name() in behind}
    assert {"Softmax", "Sigmoid"} <= types
    assert "FakeQuantize" not in types
    assert {port.any_name for port in model.inputs} == {"images"}
    assert {port.any_name for port in model.outputs} == {"probabilities", "in_domain"}


@pytest.mark.usefixtures("calibrated_on")
def test_it_says_nearly_the_same(version: Path, data: Path) -> None:
    pictures = read(data)
    labels = labels_of(pictures)
    expected = ask(numbers_of(version), pictures, labels)
    given = ask(openvino.Core().read_model(version / FILE), pictures, labels)
    assert expected.probabilities.max() < 0.9  # not so sure that nothing could change it
    assert expected.in_domain.std() > 0.01
    np.testing.assert_allclose(given.probabilities, expected.probabilities, atol=0.1)
    np.testing.assert_allclose(given.in_domain, expected.in_domain, atol=0.1)


def test_what_loses_too_much_is_not_written(
    version: Path, data: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(version, tmp_path / "2", ignore=shutil.ignore_patterns("model.*"))
    monkeypatch.setattr(quantize, "quantize", lambda model, pictures: model)
    monkeypatch.setattr(quantize, "LARGEST_LOSS", -0.1)
    with pytest.raises(QuantizationError, match=r"100\.00% in float32, 100\.00% in int8"):
        write_int8(tmp_path / "2", data, manifest)
    assert not list((tmp_path / "2").glob("model.*"))


def answers(mistakes: int, refused: int = 0) -> Answers:
    """About 1000 pictures of the label 0."""
    probabilities = np.repeat([[0.0, 1.0], [1.0, 0.0]], [mistakes, 1000 - mistakes], axis=0)
    return Answers(["a", "b"], probabilities, np.arange(1000) >= refused)


def test_a_small_loss_and_any_gain_are_taken() -> None:
    right = np.zeros(1000, int)
    text = check(answers(5, refused=30), answers(7, refused=39), right)
    assert "99.50% in float32, 99.30% in int8; refused 3.00% and 3.90%" in text
    assert "same label for 998 of 1000" in text
    check(answers(50, refused=50), answers(0), right)
    with pytest.raises(QuantizationError, match=r"loses too much: .* 99\.10% in int8"):
        check(answers(5), answers(9), right)
    with pytest.raises(QuantizationError, match=r"refused 3\.00% and 4\.20%"):
        check(answers(5, refused=30), answers(5, refused=42), right)


def test_a_manifest_that_holds_nothing_out(version: Path, data: Path, tmp_path: Path) -> None:
    write_manifest(tmp_path / "manifest.csv", read(data), data)
    with pytest.raises(DataError, match="pictures to train and pictures held out"):
        write_int8(version, data, tmp_path / "manifest.csv")


@pytest.mark.parametrize("missing", ["manifest", "version"])
def test_what_is_missing_is_said_in_a_line(
    data: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    table = tmp_path / "nothing.csv" if missing == "manifest" else manifest
    flags = ["--version", tmp_path, "--data", data, "--manifest", table]
    monkeypatch.setattr("sys.argv", ["quantize.py", *map(str, flags)])
    with pytest.raises(SystemExit) as stopped:
        quantize.main()
    expected = "nothing.csv is missing" if missing == "manifest" else "holds no saved_model.pb"
    assert str(stopped.value).startswith("quantize.py: ")
    assert expected in str(stopped.value)
    assert "\n" not in str(stopped.value)
