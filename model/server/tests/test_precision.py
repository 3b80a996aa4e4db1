import hashlib
import json
import shutil
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import openvino
import pytest
from openvino import opset15 as ops
from serving_client import pixels, serve

from model_server import graph_cache, precision
from model_server.saved_model import read_signatures
from model_server.servable import Runtime
from model_server.versions import State

OFFSET = 0.25  # by which the outputs of the int8 model differ


def write_int8(version: Path, *outputs: str, factor: float = 1) -> None:
    """Write a model in the place of trainer/quantize.py's; it multiplies the mean by a factor."""
    images = ops.parameter([-1, 4, 4, 3], np.uint8, name="images")
    images.output(0).set_names({"images"})
    floats = ops.convert(images, np.float32)
    rows = ops.reshape(floats, np.array([-1, 48]), special_zero=False)
    weights = np.zeros((48, 1), np.float32)
    weights[:16] = factor / 16  # the mean of the first values, as all are alike
    product = ops.matmul(rows, weights, False, False)
    mean = ops.add(ops.reshape(product, np.array([-1]), special_zero=False), np.float32(OFFSET))
    made = []
    for name in outputs:
        output = ops.add(mean, np.float32(0))
        output = ops.convert(output, np.int32) if name == "batch" else output
        output.output(0).set_names({name})
        made.append(output.output(0))
    openvino.save_model(openvino.Model(made, [images]), version / precision.INT8_MODEL)
    digest = hashlib.sha256((version / precision.INT8_WEIGHTS).read_bytes()).hexdigest()
    (version / precision.INT8_RECORD).write_text(json.dumps({"sha256": digest}))


@pytest.fixture
def version(models: Path, tmp_path: Path) -> Path:
    """A version with an int8 copy of its default signature, in a folder of its own."""
    version = Path(shutil.copytree(models / "signatures/1", tmp_path / "1"))
    write_int8(version, "mean", "same", "batch")
    return version


@pytest.fixture
def with_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda: True)


@pytest.fixture
def without_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda: False)


@pytest.mark.parametrize("wanted", ["auto", "int8"])
def test_int8_copy_is_used_for_the_outputs_that_it_has(version: Path, wanted: str) -> None:
    with serve(version.parent, Runtime(wanted)) as client:
        client.wait_for_version(1)
        assert client.versions.servable("m").precision == "int8"
        outputs = client.predict(images=pixels(7, 9))
        assert outputs["mean"].tolist() == outputs["same"].tolist() == [7.25, 9.25]
        assert outputs["labels"].tolist() == [[b"a", b"b"]] * 2
        # The other signatures are computed from saved_model.pb.
        assert client.predict("unbatched", images=pixels(1))["sum"] == 48


def test_rest_of_the_int8_copy_is_computed_in_float32(version: Path) -> None:
    factor = 1 + 2**-10  # in bfloat16 it would be 1
    write_int8(version, "mean", "same", "batch", factor=factor)
    with serve(version.parent, Runtime("int8")) as client:
        client.wait_for_version(1)
        assert client.predict(images=pixels(64))["mean"] == 64 * factor + OFFSET


def test_signature_of_which_the_int8_copy_lacks_a_number_is_computed_in_float(
    version: Path,
) -> None:
    write_int8(version, "mean")
    with serve(version.parent, Runtime("int8")) as client:
        client.wait_for_version(1)
        assert client.predict(images=pixels(7))["mean"].tolist() == [7]


@pytest.mark.parametrize("missing", ["INT8_MODEL", "INT8_WEIGHTS", "INT8_RECORD"])
def test_no_int8_without_model_and_record(version: Path, missing: str, without_bf16: None) -> None:
    (version / getattr(precision, missing)).unlink()
    assert precision.choose("auto", version) == "fp32"
    with pytest.raises(ValueError, match=r"missing: trainer/quantize\.py"):
        precision.choose("int8", version)


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"sha256": "0"}'])
def test_no_int8_with_the_record_of_another_model(
    version: Path, record: str, with_bf16: None
) -> None:
    (version / precision.INT8_RECORD).write_text(record)
    assert precision.choose("auto", version) == "bf16"
    with pytest.raises(ValueError, match="is not about"):
        precision.choose("int8", version)


def test_version_without_the_wanted_int8_copy_is_not_served(models: Path) -> None:
    with serve(models / "signatures", Runtime("int8")) as client:
        client.wait_for_state(1, State.END)
        message = client.status()[1].status.error_message
    assert "model.xml is missing" in message


@pytest.mark.parametrize(("machine", "chosen"), [("x86_64", "int8"), ("aarch64", "bf16")])
def test_auto_follows_the_processor(
    version: Path, with_bf16: None, monkeypatch: pytest.MonkeyPatch, machine: str, chosen: str
) -> None:
    monkeypatch.setattr(precision.platform, "machine", lambda: machine)
    assert precision.choose("auto", version) == chosen


def test_wanted_float_precision_is_used(version: Path) -> None:
    assert precision.choose("fp32", version) == "fp32"
    assert precision.choose("bf16", version) == "bf16"


def test_bf16_without_instructions_for_it_is_refused(without_bf16: None) -> None:
    with pytest.raises(ValueError, match="no bfloat16 instructions"):
        precision.check("bf16")
    for wanted in ("auto", "int8", "fp32"):
        precision.check(wanted)


def test_compiled_networks_are_kept_for_the_next_start(models: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    for _ in range(2):
        with serve(models / "signatures", Runtime("fp32", cache=cache)) as client:
            client.wait_for_version(1)
            assert client.predict(images=pixels(7))["mean"] == [7]
        files = list(cache.glob("*.blob"))
        assert len(files) == 1
    files[0].chmod(0o600)
    files[0].write_bytes(files[0].read_bytes()[:100])  # as after a full disk
    with serve(models / "signatures", Runtime("fp32", cache=cache)) as client:
        client.wait_for_version(1)
        assert client.predict(images=pixels(7))["mean"] == [7]


def test_converted_graphs_are_kept_for_the_next_start(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()

    def check() -> None:
        with serve(models / "signatures", Runtime("fp32", cache=cache)) as client:
            client.wait_for_version(1)
            outputs = client.predict(images=pixels(7))
            assert outputs["mean"] == [7]
            assert outputs["labels"].tolist() == [[b"a", b"b"]]
            assert outputs["brightest"].tolist() == [b"red"]

    check()
    (folder,) = cache.glob("graph-*")
    with monkeypatch.context() as patch:
        patch.setattr(graph_cache, "read_graph", None)
        check()
    for file in ("graph.bin", "graph.xml", "strings.json"):
        (folder / file).write_bytes((folder / file).read_bytes()[:10])  # as after a full disk
        check()
    assert list(cache.glob("graph-*")) == [folder]
    shutil.rmtree(folder)
    monkeypatch.setattr(openvino, "save_model", Mock(side_effect=RuntimeError("the disk is full")))
    check()


def test_a_changed_version_is_converted_again(models: Path, tmp_path: Path) -> None:
    version = Path(shutil.copytree(models / "signatures/1", tmp_path / "1"))
    cache = tmp_path / "cache"
    cache.mkdir()
    signature = read_signatures(version)["serving_default"]
    for outputs in (["mean"], ["mean"], ["labels"]):
        graph_cache.read_cached_graph(version, signature, outputs, cache)
    assert len(list(cache.iterdir())) == 2
    (version / "variables" / "more").write_bytes(b"")
    graph_cache.read_cached_graph(version, signature, ["mean"], cache)
    assert len(list(cache.iterdir())) == 3
    for i in range(10):
        (version / "variables" / "more").write_bytes(bytes(i))
        graph_cache.read_cached_graph(version, signature, ["mean"], cache)
    assert len(list(cache.iterdir())) == graph_cache.KEPT
