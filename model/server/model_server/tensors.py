"""Conversion between TensorProto and ndarray."""

from math import prod

import numpy as np

from model_server.errors import InvalidArgument
from tf_serving import api_pb2 as tf

# The NumPy type of each data type, and the field that holds its values in a response.
TYPES: dict[tf.DataType, tuple[type[np.generic], str]] = {
    tf.DT_FLOAT: (np.float32, "float_val"),
    tf.DT_DOUBLE: (np.float64, "double_val"),
    tf.DT_HALF: (np.float16, "half_val"),
    tf.DT_INT64: (np.int64, "int64_val"),
    tf.DT_INT32: (np.int32, "int_val"),
    tf.DT_INT16: (np.int16, "int_val"),
    tf.DT_INT8: (np.int8, "int_val"),
    tf.DT_UINT8: (np.uint8, "int_val"),
    tf.DT_BOOL: (np.bool_, "bool_val"),
    tf.DT_STRING: (np.object_, "string_val"),
}
DATA_TYPES = {np.dtype(kind): data_type for data_type, (kind, _) in TYPES.items()}
MAX_BYTES = 2**31 - 1  # of an input, as of a message


def to_array(name: str, proto: tf.TensorProto, info: tf.TensorInfo) -> np.ndarray:
    """Convert an input and check it against the signature, before it is batched with others.

    Raises:
        InvalidArgument: dtype or shape differ from the signature's, or the number of values
            does not fit the shape.
    """
    if proto.dtype != info.dtype:
        expected, sent = type_name(info.dtype), type_name(proto.dtype)
        raise InvalidArgument(f"Expects {name} to be {expected} but {sent} is provided")
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or not _fits(shape, info.tensor_shape):
        expected = _format_shape(info.tensor_shape)
        raise InvalidArgument(f"Input {name} has shape {shape}, expected {expected}")
    if 0 in shape:
        raise InvalidArgument(f"Input {name} has shape {shape}: nothing to predict")
    kind, field = TYPES[info.dtype]
    if prod(shape) * np.dtype(kind).itemsize > MAX_BYTES:
        raise InvalidArgument(f"Input {name} has shape {shape}: too large")
    try:
        if proto.tensor_content:
            return np.frombuffer(proto.tensor_content, kind).reshape(shape)
        return _repeat_last(_values(proto, field, kind), shape)
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(f"Input {name} does not parse: {error}") from None


def to_proto(array: np.ndarray) -> tf.TensorProto:
    """Convert an output, with its values in the field that TensorFlow Serving uses."""
    data_type = DATA_TYPES[array.dtype]
    field = TYPES[data_type][1]
    values = array.view(np.uint16) if data_type == tf.DT_HALF else array
    shape = tf.TensorShapeProto(dim=[tf.TensorShapeProto.Dim(size=size) for size in array.shape])
    proto = tf.TensorProto(dtype=data_type, tensor_shape=shape)
    getattr(proto, field).extend(values.ravel().tolist())
    return proto


def type_name(data_type: tf.DataType) -> str:
    """The name of a data type, or its number."""
    return tf.DataType.Name(data_type) if data_type in tf.DataType.values() else str(data_type)


def _values(proto: tf.TensorProto, field: str, kind: type[np.generic]) -> np.ndarray:
    values = getattr(proto, field)
    return np.array(values, np.uint16).view(kind) if field == "half_val" else np.array(values, kind)


def _repeat_last(values: np.ndarray, shape: list[int]) -> np.ndarray:
    """An array of this shape; where values are missing, the last one is repeated."""
    missing = prod(shape) - len(values)
    if not len(values) or missing < 0:
        raise ValueError(f"{len(values)} values for {prod(shape)}")
    return np.pad(values, (0, missing), "edge").reshape(shape)


def _fits(shape: list[int], expected: tf.TensorShapeProto) -> bool:
    if expected.unknown_rank:
        return min(shape, default=0) >= 0
    sizes = [dim.size for dim in expected.dim]
    return len(shape) == len(sizes) and all(
        actual >= 0 and size in (-1, actual) for actual, size in zip(shape, sizes, strict=True)
    )


def _format_shape(shape: tf.TensorShapeProto) -> str:
    sizes = ("None" if dim.size == -1 else str(dim.size) for dim in shape.dim)
    return f"({', '.join(sizes)})"
