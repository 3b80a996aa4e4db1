"""Conversion between TensorProto and ndarray."""

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from model_server.errors import InvalidArgument

# The fields that TensorFlow Serving's responses use; other types are in tensor_content.
VALUE_FIELDS = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int32: "int_val",
    tf.int16: "int_val",
    tf.int8: "int_val",
    tf.uint16: "int_val",
    tf.uint8: "int_val",
    tf.int64: "int64_val",
    tf.bool: "bool_val",
    tf.string: "string_val",
}
_DATA_TYPES = set(types_pb2.DataType.values())


def to_array(name: str, proto: tensor_pb2.TensorProto, spec: tf.TensorSpec) -> np.ndarray:
    """Convert an input and check it against the signature, before it is batched with others.

    Raises:
        InvalidArgument: dtype or shape differ from the signature's, or the number of values
            does not fit the shape.
    """
    if proto.dtype != spec.dtype.as_datatype_enum:
        sent = types_pb2.DataType.Name(proto.dtype) if proto.dtype in _DATA_TYPES else proto.dtype
        raise InvalidArgument(f"Expects {name} to be {spec.dtype.name} but {sent} is provided")
    shape = [dim.size for dim in proto.tensor_shape.dim]
    is_complete = not proto.tensor_shape.unknown_rank and min(shape, default=0) >= 0
    if not is_complete or not spec.shape.is_compatible_with(shape):
        raise InvalidArgument(f"Input {name} has shape {shape}, expected {spec.shape}")
    if 0 in shape:
        raise InvalidArgument(f"Input {name} has shape {shape}: nothing to predict")
    try:
        if proto.tensor_content and spec.dtype != tf.string:
            return np.frombuffer(proto.tensor_content, spec.dtype.as_numpy_dtype).reshape(shape)
        array: np.ndarray = tf.make_ndarray(proto)
        return array
    except (ValueError, TypeError, MemoryError) as error:
        raise InvalidArgument(f"Input {name} does not parse: {error}") from error


def to_proto(output: np.ndarray | bytes) -> tensor_pb2.TensorProto:
    """Convert an output; a session returns a scalar string as bytes."""
    array = np.array(output, object) if isinstance(output, bytes) else output
    dtype = tf.as_dtype(array.dtype)
    field = VALUE_FIELDS.get(dtype)
    if field is None:
        return tf.make_tensor_proto(array)
    return tensor_pb2.TensorProto(
        dtype=dtype.as_datatype_enum,
        tensor_shape=tf.TensorShape(array.shape).as_proto(),
        **{field: array.ravel().tolist()},
    )
