"""Reading a SavedModel without TensorFlow: its signatures, and their graphs as OpenVINO models."""

import re
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np
import openvino
from google.protobuf.message import DecodeError

from model_server.errors import Unimplemented
from tf_serving import api_pb2 as tf

FILE = "saved_model.pb"
DEFAULT_SIGNATURE = "serving_default"
TAG = "serve"
# Fields of the messages SavedModel and MetaGraphDef. The graph, which contains the weights, is
# never parsed here.
META_GRAPHS = 2
META_INFO_DEF, GRAPH_DEF, SIGNATURE_DEF = 1, 2, 5
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # how a field is encoded


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
            model = openvino.Core().read_model(copy)
        except RuntimeError as error:
            raise Unimplemented(_reason(str(error))) from None
    if not set(outputs) <= {name for port in model.outputs for name in port.names}:
        raise Unimplemented(_reason(""))
    return Graph(model, _replace_strings(model))


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


def _reason(message: str) -> str:
    """What a message of OpenVINO's TensorFlow frontend says, and what to do."""
    failed = re.findall(
        r"(?:No conversion rule found|Conversion is failed) for[^:]*: (.+)", message
    )
    what = f"the operations {', '.join(failed)}" if failed else "this model"
    return f"OpenVINO cannot convert {what}: serve it with TensorFlow Serving"


def _write_with_signature(folder: Path, copy: Path, signature: tf.SignatureDef) -> None:
    """Copy a SavedModel with one signature, under the only name that OpenVINO looks for."""
    definition = tf.MetaGraphDef(
        meta_info_def=tf.MetaGraphDef.MetaInfoDef(tags=[TAG]),
        signature_def={DEFAULT_SIGNATURE: signature},
    ).SerializeToString()
    _, graph = _read_meta_graph(folder)
    with (folder / FILE).open("rb") as original, (copy / FILE).open("wb") as file:
        original.seek(graph.start)
        file.write(_header(META_GRAPHS, len(graph) + len(definition)))
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
            for number, _, begin, end in _fields(data, 0, len(data)):
                if number != META_GRAPHS:
                    continue
                definition, graph = b"", range(0)
                for part, start, _, stop in _fields(data, begin, end):
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


def _fields(data: mmap, position: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Each length-delimited field of a message: number, start, start of its value, end."""
    while position < end:
        start = position
        key, position = _read_varint(data, position)
        number, encoding = key >> 3, key & 7
        if encoding == VARINT:
            _, position = _read_varint(data, position)
        elif encoding == BYTES:
            size, position = _read_varint(data, position)
            if position + size > end:
                raise IndexError("a field is longer than its message")
            yield number, start, position, position + size
            position += size
        elif encoding in (FIXED64, FIXED32):
            position += 8 if encoding == FIXED64 else 4
        else:
            raise IndexError(f"unknown encoding {encoding}")


def _read_varint(data: mmap, position: int) -> tuple[int, int]:
    """A number of variable length, and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def _header(number: int, size: int) -> bytes:
    """What precedes the value of a length-delimited field."""
    encoded = [number << 3 | BYTES]
    while size >= 0x80:
        encoded.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*encoded, size])
