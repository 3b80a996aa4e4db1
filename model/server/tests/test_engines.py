import logging
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import openvino
import pytest
from conftest import Client, code, pixels, serve, wait_until

from model_server import engines
from model_server.batching import BatchingParameters

OPENVINO = engines.OpenVINO("float32")


@pytest.fixture(scope="module", params=[None, BatchingParameters(max_batch_size=8)])
def openvino_client(
    models: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Client]:
    base_path = tmp_path_factory.mktemp("openvino")
    shutil.copytree(models / "1", base_path / "1")
    with serve(base_path, request.param, OPENVINO) as client:
        client.wait_for_version(1)
        yield client


@pytest.mark.parametrize("signature", ["", "unbatched"])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_openvino_says_what_tensorflow_says(
    client: Client, openvino_client: Client, signature: str, count: int
) -> None:
    images = np.random.default_rng(7).integers(0, 256, (count, 4, 4, 3), np.uint8)
    expected = client.predict(signature, images=images)
    given = openvino_client.predict(signature, images=images)
    assert given.keys() == expected.keys()
    for name, values in expected.items():
        assert given[name].dtype == values.dtype
        assert given[name].shape == values.shape
        if values.dtype == object:  # words
            assert given[name].tolist() == values.tolist()
        else:
            assert given[name] == pytest.approx(values, rel=1e-6)


def test_many_at_once_get_their_own_answers(openvino_client: Client) -> None:
    def ask(value: int) -> list[float]:
        return openvino_client.predict(images=pixels(value))["mean"].tolist()

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(64))) == [[value] for value in range(64)]


def test_what_openvino_cannot_do_is_tensorflows(
    models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(models / "1", tmp_path / "1")
    caplog.set_level(logging.INFO, "model_server")
    with serve(tmp_path, engine=OPENVINO) as client:
        client.wait_for_version(1)
        answer = client.predict("count", words=np.array([b"a", b"z"], object))
        assert answer["numbers"].tolist() == [10, -1]
        assert client.predict("divide", a=np.int32(7), b=np.int32(2))["quotient"] == 3
    told = re.findall("TensorFlow computes signature ([a-z_]+), not OpenVINO", caplog.text)
    assert sorted(told) == ["count", "slow"]  # a variable that is written, a loop
    assert "signature count cannot be frozen" in caplog.text


def test_a_wrong_shape_is_refused_as_ever(openvino_client: Client) -> None:
    status, _ = code(lambda: openvino_client.predict(images=pixels()[:, :3]))
    assert status is grpc.StatusCode.INVALID_ARGUMENT


def write_int8(version: Path, offset: float) -> None:
    """Stands for what trainer/quantize.py writes; it tells itself by the offset."""
    from openvino import opset15 as ops

    images = ops.parameter([-1, 4, 4, 3], np.uint8, name="images")
    images.output(0).set_names({"images"})
    floats = ops.convert(images, np.float32)
    mean = ops.add(ops.reduce_mean(floats, np.array([1, 2, 3])), np.float32(offset))
    mean.output(0).set_names({"mean"})
    ones = ops.convert(ops.multiply(mean, np.float32(0)), np.int32)
    outputs = [mean.output(0)]
    for name in ("version", "batch"):
        output = ops.add(ones, np.int32(1))
        output.output(0).set_names({name})
        outputs.append(output.output(0))
    openvino.save_model(openvino.Model(outputs, [images]), version / engines.INT8_FILE)


def test_int8_is_read_from_the_versions_folder(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "1", tmp_path / "1")
    write_int8(tmp_path / "1", offset=0.25)
    with serve(tmp_path, engine=engines.make("openvino-int8", "float32")) as client:
        client.wait_for_version(1)
        answer = client.predict(images=pixels(7, 9))
        assert answer["mean"].tolist() == [7.25, 9.25]
        assert answer["labels"].tolist() == [[b"a", b"b"]] * 2
        assert client.predict("unbatched", images=pixels(1))["sum"] == 48  # as it always was


def test_int8_that_is_not_there(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "1", tmp_path / "1")
    with serve(tmp_path, engine=engines.make("openvino-int8", "float32")) as client:
        wait_until(lambda: client.versions.statuses().get(1, None) is not None)
        wait_until(lambda: client.versions.statuses()[1].error_message)
        message = client.status()[1].status.error_message
    assert "model.xml is missing: trainer/quantize.py" in message


@pytest.mark.parametrize(
    ("wanted", "flags", "chosen"),
    [
        ("auto", {"avx2", "fma"}, "openvino"),
        ("auto", {"sse4_2"}, "tensorflow"),
        ("auto", set(), "tensorflow"),
        ("tensorflow", {"avx2"}, "tensorflow"),
        ("openvino-int8", set(), "openvino-int8"),
    ],
)
def test_the_engine_follows_the_processor(wanted: str, flags: set[str], chosen: str) -> None:
    assert engines.choose(wanted, flags) == chosen
