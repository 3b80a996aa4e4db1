import shutil
from pathlib import Path

import numpy as np
import pytest
from serving_client import serve

from model_server.errors import Unimplemented
from model_server.saved_model import FILE, read_graph, read_signatures


def test_signatures_are_read(models: Path) -> None:
    signatures = read_signatures(models / "signatures/1")
    assert {"serving_default", "unbatched", "count"} <= set(signatures)
    images = signatures["serving_default"].inputs["images"]
    assert [dim.size for dim in images.tensor_shape.dim] == [-1, 4, 4, 3]


def test_graph_has_only_what_the_outputs_need(models: Path) -> None:
    version = models / "signatures/1"
    signature = read_signatures(version)["serving_default"]
    graph = read_graph(version, signature, ["labels"])
    assert graph.strings.tolist() == [b"a", b"b"]
    assert [port.names for port in graph.model.outputs] == [{"labels"}]
    operations = {operation.get_type_name() for operation in graph.model.get_ops()}
    assert "Tile" in operations
    assert "ReduceMean" not in operations


@pytest.mark.parametrize("name", ["default", "parsed"])
def test_input_is_computed_whatever_precedes_it_in_the_graph(models: Path, name: str) -> None:
    with serve(models / name) as client:
        client.wait_for_version(1)
        assert client.predict(x=np.array([[3]] if name == "parsed" else [3], np.float32))["y"] == 6


def test_output_that_openvino_leaves_out_is_an_error(models: Path) -> None:
    version = models / "default/1"
    with pytest.raises(Unimplemented, match="the output name, which StringJoin computes: serve it"):
        read_graph(version, read_signatures(version)["join"], ["name"])


def test_folder_without_a_saved_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"saved_model\.pb"):
        read_signatures(tmp_path)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 50, 1000, 20_000])
def test_incomplete_file_is_an_error(models: Path, tmp_path: Path, size: int) -> None:
    content = (models / "signatures/1" / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(content[:size])
    with pytest.raises(ValueError, match=r"saved_model\.pb|empty"):
        read_signatures(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"not a model",
        b"\xff" * 100,  # a number that does not end
        b"\x13" * 10,  # an unknown encoding
        b"\x12\x00",  # a graph without tags
        b"\x12\x03\x0a\x01\xff",  # its description is not a message
        b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # longer than the file
    ],
)
def test_other_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ValueError, match=r"saved_model\.pb"):
        read_signatures(tmp_path)


def test_model_is_not_changed_by_being_read(models: Path, tmp_path: Path) -> None:
    version = Path(shutil.copytree(models / "signatures/1", tmp_path / "1"))
    before = {file: file.read_bytes() for file in version.rglob("*") if file.is_file()}
    read_graph(version, read_signatures(version)["serving_default"], ["mean"])
    assert {file: file.read_bytes() for file in version.rglob("*") if file.is_file()} == before
