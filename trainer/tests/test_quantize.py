"""A small model, exported like the large one, and its int8 copy."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import head
import numpy as np
import openvino
import pytest
import quantize
import tensorflow as tf
from calibration import Calibration
from data import (
    DataError,
    LabelledImage,
    classes_of,
    labels_of,
    load_batches,
    read_images,
    write_manifest,
)
from half_precision import cast_to_float16
from network import SIZE
from predictions import Predictions
from quantize import (
    FILE,
    RECORD,
    QuantizationError,
    check,
    compare,
    head_of,
    predict,
    read_numeric_outputs,
    write_int8,
)
from servable import Servable
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

FLOAT = {"f16", "f32"}


@pytest.fixture(scope="module")
def manifest(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = [
        replace(image, split="train" if i % 4 else "validation")
        for i, image in enumerate(read_images(folder))
    ]
    file = tmp_path_factory.mktemp("quantize") / "manifest.csv"
    write_manifest(file, images, folder)
    return file


@pytest.fixture(scope="module")
def version(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of three convolutions, and a head fitted on all the images."""
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

    images = read_images(folder)
    labels = labels_of(images)
    (pixels,) = load_batches(images, SIZE, len(images))
    features = tf.reduce_mean(maps(pixels), [1, 2]).numpy()
    kernel, bias = map(tf.Variable, head.fit(features, classes_of(images, labels), c=10.0))
    highest = tf.reduce_max(features @ kernel + bias, 1).numpy()
    calibration = Calibration(4.0, float(highest.min() - 1), float(highest.std()))

    @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8, "images")])  # type: ignore[untyped-decorator]
    def network(images: tf.Tensor) -> tf.Tensor:
        return tf.einsum("nhwf,fc->nhwc", maps(images), kernel) + bias

    frozen = convert_variables_to_constants_v2(network.get_concrete_function())
    made = tmp_path_factory.mktemp("model") / "1"
    Servable(frozen, labels, calibration).save(str(made))
    cast_to_float16(made / "saved_model.pb")
    return made


@pytest.fixture(scope="module")
def calibration_images(version: Path, folder: Path, manifest: Path) -> Sequence[LabelledImage]:
    """Quantizes the version; the images that determined its ranges."""
    used: list[LabelledImage] = []
    original = quantize.quantize

    def record(model: openvino.Model, images: Sequence[LabelledImage]) -> openvino.Model:
        used.extend(images)
        return original(model, images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantize, "quantize", record)
        assert "same label for 6 of 6" in write_int8(version, folder, manifest)
    return used


def test_held_out_images_are_not_used_for_calibration(
    calibration_images: Sequence[LabelledImage],
) -> None:
    assert len(calibration_images) == 15
    assert {image.split for image in calibration_images} == {"train"}


def weights(model: openvino.Model, kind: str) -> Iterator[openvino.Node]:
    """The constants in which the file stores the weights of the operations of a kind."""
    for operation in model.get_ops():
        if operation.get_type_name() == kind:
            node = operation.input_value(1).get_node()
            while node.get_input_size():
                node = node.input_value(0).get_node()
            if node.get_type_name() == "Constant":
                yield node


@pytest.mark.usefixtures("calibration_images")
def test_convolutions_are_int8_and_the_head_is_not(version: Path) -> None:
    model = openvino.Core().read_model(version / FILE)
    for kind, expected in (
        ("Convolution", {"i8"}),
        ("GroupConvolution", {"i8"}),
        ("Einsum", FLOAT),
    ):
        types = {node.get_element_type().get_type_name() for node in weights(model, kind)}
        assert types, kind
        assert types <= expected, kind
    head_operations = set(head_of(model))
    types = {
        op.get_type_name() for op in model.get_ops() if op.get_friendly_name() in head_operations
    }
    assert {"Softmax", "Sigmoid"} <= types
    assert "FakeQuantize" not in types
    assert {port.any_name for port in model.inputs} == {"images"}
    assert {port.any_name for port in model.outputs} == {
        "probabilities",
        "in_domain",
        "heatmaps",
    }


@pytest.mark.usefixtures("calibration_images")
def test_record_says_what_was_measured_and_of_which_weights(version: Path) -> None:
    record = json.loads((version / RECORD).read_text())
    assert record["images"] == record["same_label"] == 6
    assert record["accuracy"] == record["int8_accuracy"] == 1
    weights = (version / "model.bin").read_bytes()
    assert record["sha256"] == hashlib.sha256(weights).hexdigest()


@pytest.mark.usefixtures("calibration_images")
def test_int8_weights_use_half_of_the_range(version: Path) -> None:
    # Those of depthwise convolutions need not: no two of their products are added in 16 bits.
    model = openvino.Core().read_model(version / FILE)
    highest = [abs(node.data.astype(int)).max() for node in weights(model, "Convolution")]
    assert 0 < max(highest) <= 64


@pytest.mark.usefixtures("calibration_images")
def test_int8_and_float32_outputs_are_similar(version: Path, folder: Path) -> None:
    images = read_images(folder)
    labels = labels_of(images)
    expected = predict(read_numeric_outputs(version), images, labels)
    actual = predict(openvino.Core().read_model(version / FILE), images, labels)
    assert expected.probabilities.max() < 0.98  # not saturated
    assert expected.in_domain.std() > 0.01
    np.testing.assert_allclose(actual.probabilities, expected.probabilities, atol=0.1)
    np.testing.assert_allclose(actual.in_domain, expected.in_domain, atol=0.1)


def test_a_model_that_loses_too_much_is_not_written(
    version: Path, folder: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(version, tmp_path / "2", ignore=shutil.ignore_patterns("model.*", RECORD))
    monkeypatch.setattr(quantize, "quantize", lambda model, images: model)
    monkeypatch.setattr(quantize, "LARGEST_LOSS", -0.1)
    with pytest.raises(QuantizationError, match=r"100\.00% in float32, 100\.00% in int8"):
        write_int8(tmp_path / "2", folder, manifest)
    assert not list((tmp_path / "2").glob("model.*"))
    assert not (tmp_path / "2" / RECORD).exists()


def predictions(mistakes: int, rejected: int = 0) -> Predictions:
    """For 1000 images of label 0."""
    probabilities = np.repeat([[0.0, 1.0], [1.0, 0.0]], [mistakes, 1000 - mistakes], axis=0)
    return Predictions(["a", "b"], probabilities, np.arange(1000) >= rejected)


def test_a_small_loss_and_any_gain_are_accepted() -> None:
    classes = np.zeros(1000, int)
    difference = compare(predictions(5, rejected=30), predictions(7, rejected=39), classes)
    check(difference)
    text = difference.text()
    assert "99.50% in float32, 99.30% in int8; rejected 3.00% and 3.90%" in text
    assert "same label for 998 of 1000" in text
    check(compare(predictions(50, rejected=50), predictions(0), classes))


def test_a_large_loss_is_an_error() -> None:
    classes = np.zeros(1000, int)
    with pytest.raises(QuantizationError, match=r"loses too much: .* 99\.10% in int8"):
        check(compare(predictions(5), predictions(9), classes))
    with pytest.raises(QuantizationError, match=r"rejected 3\.00% and 4\.20%"):
        check(compare(predictions(5, rejected=30), predictions(5, rejected=42), classes))


def test_a_manifest_without_held_out_images_is_an_error(
    version: Path, folder: Path, tmp_path: Path
) -> None:
    write_manifest(tmp_path / "manifest.csv", read_images(folder), folder)
    with pytest.raises(DataError, match="must list images for training and held-out images"):
        write_int8(version, folder, tmp_path / "manifest.csv")


@pytest.mark.parametrize("missing", ["manifest", "version"])
def test_a_missing_file_ends_with_a_message(
    folder: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    table = tmp_path / "nothing.csv" if missing == "manifest" else manifest
    flags = ["--version", tmp_path, "--data", folder, "--manifest", table]
    monkeypatch.setattr("sys.argv", ["quantize.py", *map(str, flags)])
    with pytest.raises(SystemExit) as stopped:
        quantize.main()
    expected = "nothing.csv is missing" if missing == "manifest" else "saved_model.pb"
    assert str(stopped.value).startswith("quantize.py: ")
    assert expected in str(stopped.value)
    assert "\n" not in str(stopped.value)
