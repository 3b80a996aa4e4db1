"""Reading a SavedModel without TensorFlow: its signatures, and their graphs as OpenVINO models."""

import re
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, field
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np
import openvino
from google.protobuf.message import DecodeError
from openvino.frontend import (
    GeneralFailure,
    OpConversionFailure,
    OpValidationFailure,
)

from model_server.errors import Unimplemented, last_line
from model_server.graph_operations import read_operation
from model_server.openvino_core import FRONTENDS
from model_server.wire_format import fields, header
from tf_serving import api_pb2 as tf

FILE = "saved_model.pb"
DEFAULT_SIGNATURE = "serving_default"
TAG = "serve"
# Fields of the messages SavedModel and MetaGraphDef. The graph, which contains the weights, is
# never parsed here.
META_GRAPHS = 2
META_INFO_DEF, GRAPH_DEF, SIGNATURE_DEF = 1, 2, 5
FAILURES = (RuntimeError, GeneralFailure, OpConversionFailure, OpValidationFailure)  # OpenVINO's


@dataclass(frozen=True)
class Graph:
    """Outputs of a signature as an OpenVINO model, with each string replaced by its index.

    Attributes:
        model: its inputs and outputs have the signature's names; a string output is int64.
        strings: what the indexes stand for, as an array of bytes objects.
    """

    model: openvino.Model
    strings: np.ndarray = field(default_factory=lambda: np.array([], object))


def read_signatures(folder: Path) -> dict[str, tf.SignatureDef]:
    """The signatures of the SavedModel in a version's folder, by name.

    Raises:
        FileNotFoundError: there is no SavedModel.
        ValueError: it cannot be parsed, or has no graph for serving.
    """
    return dict(_read_meta_graph(folder)[0].signature_def)


def read_graph(folder: Path, signature: tf.SignatureDef, outputs: Collection[str]) -> Graph:
    """Convert what computes some outputs of a signature.

    Raises:
        Unimplemented: OpenVINO cannot convert it.
    """
    wanted = tf.SignatureDef(
        inputs=signature.inputs,
        outputs={name: signature.outputs[name] for name in outputs},
        method_name=signature.method_name,
    )
    with tempfile.TemporaryDirectory() as copy:
        _write_with_signature(folder, Path(copy), wanted)
        try:
            model = _convert(Path(copy), wanted)
        except FAILURES as error:
            raise Unimplemented(_reason(_failed(error))) from None
    for name in set(outputs) - {name for port in model.outputs for name in port.names}:
        operation = _operation_of(folder, signature.outputs[name].name)
        raise Unimplemented(_reason(f"the output {name}, which {operation} computes"))
    return Graph(model, _replace_strings(model))


def _convert(folder: Path, signature: tf.SignatureDef) -> openvino.Model:
    """Convert a SavedModel with one signature.

    Core.read_model would start at the placeholders of the graph instead of the signature's inputs:
    it would compute an input from an earlier one, and replace one that has a default by it.
    """
    frontend = FRONTENDS.load_by_framework("tf")
    graph = frontend.load(str(folder))
    inputs = [graph.get_place_by_tensor_name(info.name) for info in signature.inputs.values()]
    graph.override_all_inputs(inputs)
    model = frontend.convert(graph)
    shapes = {
        port: openvino.PartialShape([dim.size for dim in info.tensor_shape.dim])
        for port in model.inputs
        for name, info in signature.inputs.items()
        if name in port.names and not info.tensor_shape.unknown_rank
    }
    model.reshape(shapes)
    return model


def _replace_strings(model: openvino.Model) -> np.ndarray:
    """Replace the string constants by indexes into the array that is returned.

    OpenVINO computes no strings, but operations that only move them, such as Tile and Gather,
    move indexes in the same way.
    """
    strings: list[bytes] = []
    for node in model.get_ops():
        if node.get_type_name() == "Constant" and node.get_element_type() == openvino.Type.string:
            values = [text.encode() for text in node.get_value_strings()]
            indexes = np.arange(len(strings), len(strings) + len(values))
            constant = openvino.op.Constant(indexes.reshape(list(node.get_output_shape(0))))
            node.output(0).replace(constant.output(0))
            strings += values
    model.validate_nodes_and_infer_types()
    return np.array(strings, object)


def _failed(error: Exception) -> str:
    """What an error of OpenVINO's TensorFlow frontend is about."""
    failed = re.findall(
        r"(?:No conversion rule found|Conversion is failed) for[^:]*: (.+)", str(error)
    )
    return f"the operations {', '.join(failed)}" if failed else f"this model: {last_line(error)}"


def _reason(what: str) -> str:
    return f"OpenVINO cannot convert {what}: serve it with TensorFlow Serving"


def _operation_of(folder: Path, tensor: str) -> str:
    """The type of the operation that computes a tensor of the graph."""
    _, graph = _read_meta_graph(folder)
    with (
        (folder / FILE).open("rb") as file,
        mmap(file.fileno(), 0, access=ACCESS_READ) as data,
    ):
        return read_operation(data, graph, tensor)


def _write_with_signature(folder: Path, copy: Path, signature: tf.SignatureDef) -> None:
    """Copy a SavedModel with one signature, under the only name that OpenVINO looks for."""
    definition = tf.MetaGraphDef(
        meta_info_def=tf.MetaGraphDef.MetaInfoDef(tags=[TAG]),
        signature_def={DEFAULT_SIGNATURE: signature},
    ).SerializeToString()
    _, graph = _read_meta_graph(folder)
    with (folder / FILE).open("rb") as original, (copy / FILE).open("wb") as file:
        original.seek(graph.start)
        file.write(header(META_GRAPHS, len(graph) + len(definition)))
        file.write(original.read(len(graph)))
        file.write(definition)
    for entry in folder.iterdir():
        if entry.name != FILE:
            (copy / entry.name).symlink_to(entry.absolute())


def _read_meta_graph(folder: Path) -> tuple[tf.MetaGraphDef, range]:
    """The meta graph for serving, and the positions of its graph in the file."""
    file = folder / FILE
    with file.open("rb") as opened, mmap(opened.fileno(), 0, access=ACCESS_READ) as data:
        try:
            for number, _, begin, end in fields(data, 0, len(data)):
                if number != META_GRAPHS:
                    continue
                definition, graph = b"", range(0)
                for part, start, _, stop in fields(data, begin, end):
                    if part == GRAPH_DEF:
                        graph = range(start, stop)
                    elif part in (META_INFO_DEF, SIGNATURE_DEF):
                        definition += data[start:stop]
                parsed = tf.MetaGraphDef.FromString(definition)
                if TAG in parsed.meta_info_def.tags:
                    return parsed, graph
        except (DecodeError, IndexError) as error:
            raise ValueError(f"{file} is not a SavedModel: {error}") from None
    raise ValueError(f"{file} has no graph with the tag {TAG!r}")
