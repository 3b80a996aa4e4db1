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
from openvino import opset15 as ops
from serving_client import Client, pixels, rpc_error, serve

from model_server import engines
from model_server.batching_parameters import BatchingParameters
from model_server.versions import State

OPENVINO = engines.make("openvino", "float32")
OPENVINO_INT8 = engines.make("openvino-int8", "float32")


@pytest.fixture(scope="module", params=[None, BatchingParameters(max_batch_size=8)])
def openvino_client(all_signatures: Path, request: pytest.FixtureRequest) -> Iterator[Client]:
    with serve(all_signatures, request.param, OPENVINO) as client:
        client.wait_for_version(1)
        yield client


@pytest.mark.parametrize("signature", ["", "unbatched"])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_outputs_of_openvino_are_those_of_tensorflow(
    client: Client, openvino_client: Client, signature: str, count: int
) -> None:
    images = np.random.default_rng(7).integers(0, 256, (count, 4, 4, 3), np.uint8)
    expected = client.predict(signature, images=images)
    outputs = openvino_client.predict(signature, images=images)
    assert outputs.keys() == expected.keys()
    for name, values in expected.items():
        assert outputs[name].dtype == values.dtype
        assert outputs[name].shape == values.shape
        if values.dtype == object:  # strings
            assert outputs[name].tolist() == values.tolist()
        else:
            assert outputs[name] == pytest.approx(values, rel=1e-6)


def test_concurrent_requests_get_their_own_outputs(openvino_client: Client) -> None:
    def predict(value: int) -> list[float]:
        return openvino_client.predict(images=pixels(value))["mean"].tolist()

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(predict, range(64))) == [[value] for value in range(64)]


def test_tensorflow_computes_what_openvino_cannot(
    all_signatures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "model_server")
    with serve(all_signatures, engine=OPENVINO) as client:
        client.wait_for_version(1)
        outputs = client.predict("count", keys=np.array([b"a", b"z"], object))
        assert outputs["values"].tolist() == [10, -1]
        assert client.predict("divide", a=np.int32(7), b=np.int32(2))["quotient"] == 3
        outputs = client.predict("log_gamma", images=pixels(3))
        assert outputs["log_gamma"] == pytest.approx([np.log(2)])
    logged = re.findall("TensorFlow computes signature ([a-z_]+), not OpenVINO", caplog.text)
    # A variable that is written, a string input, and an unsupported operation.
    assert sorted(logged) == ["count", "hold", "log_gamma"]
    assert "signature count cannot be frozen" in caplog.text


def test_input_of_another_shape_is_refused(openvino_client: Client) -> None:
    status, _ = rpc_error(lambda: openvino_client.predict(images=pixels()[:, :3]))
    assert status is grpc.StatusCode.INVALID_ARGUMENT


def write_int8(version: Path, offset: float) -> None:
    """Write a model in the place of trainer/quantize.py's; its outputs show the offset."""
    images = ops.parameter([-1, 4, 4, 3], np.uint8, name="images")
    images.output(0).set_names({"images"})
    floats = ops.convert(images, np.float32)
    mean = ops.add(ops.reduce_mean(floats, np.array([1, 2, 3])), np.float32(offset))
    mean.output(0).set_names({"mean"})
    zeros = ops.convert(ops.multiply(mean, np.float32(0)), np.int32)
    outputs = [mean.output(0)]
    for name in ("version", "batch"):
        output = ops.add(zeros, np.int32(1))
        output.output(0).set_names({name})
        outputs.append(output.output(0))
    openvino.save_model(openvino.Model(outputs, [images]), version / engines.INT8_FILE)


def test_int8_model_is_read_from_the_versions_folder(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "1", tmp_path / "1")
    write_int8(tmp_path / "1", offset=0.25)
    with serve(tmp_path, engine=OPENVINO_INT8) as client:
        client.wait_for_version(1)
        outputs = client.predict(images=pixels(7, 9))
        assert outputs["mean"].tolist() == [7.25, 9.25]
        assert outputs["labels"].tolist() == [[b"a", b"b"]] * 2
        # The other signatures are computed from saved_model.pb.
        assert client.predict("unbatched", images=pixels(1))["sum"] == 48


def test_missing_int8_model_is_reported_as_the_versions_error(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "1", tmp_path / "1")
    with serve(tmp_path, engine=OPENVINO_INT8) as client:
        client.wait_for_state(1, State.END)
        message = client.status()[1].status.error_message
    assert "model.xml is missing: trainer/quantize.py" in message


@pytest.mark.parametrize(
    ("wanted", "flags", "engine"),
    [
        ("auto", {"avx2", "fma"}, "openvino"),
        ("auto", {"sse4_2"}, "tensorflow"),
        ("auto", set(), "tensorflow"),
        ("tensorflow", {"avx2"}, "tensorflow"),
        ("openvino-int8", set(), "openvino-int8"),
    ],
)
def test_engine_follows_the_processor(wanted: str, flags: set[str], engine: str) -> None:
    assert engines.choose(wanted, flags) == engine
