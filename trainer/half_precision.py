"""Large weights of a SavedModel in float16."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2, types_pb2
from tensorflow.core.protobuf import saved_model_pb2

LARGE = 1024  # elements of a weight from which on it is cast


def cast_to_float16(file: Path) -> None:
    """Store the large weights of a SavedModel in float16.

    The operation that reads a frozen variable becomes a cast. TensorFlow folds it away when
    it loads the model, so it costs no time at inference.

    Raises:
        ValueError: float16 cannot represent a weight.
    """
    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for function in saved_model.meta_graphs[0].graph_def.library.function:
        nodes = {node.name: node for node in function.node_def}
        casts = set()
        for node in function.node_def:
            weight = nodes.get(node.input[0].partition(":")[0]) if node.op == "Identity" else None
            if weight is None or weight.op != "Const" or not _cast_constant(weight):
                continue
            node.op = "Cast"
            node.attr["SrcT"].type, node.attr["DstT"].type = types_pb2.DT_HALF, types_pb2.DT_FLOAT
            del node.attr["T"]
            casts.add(node.name)
        for node in function.node_def:
            # A control dependency would keep a cast that has been folded away.
            inputs = [name for name in node.input if name.removeprefix("^") not in casts]
            node.input[:] = [
                name.replace(":output:", ":y:") if name.partition(":")[0] in casts else name
                for name in inputs
            ]
    file.write_bytes(saved_model.SerializeToString())


def _cast_constant(node: node_def_pb2.NodeDef) -> bool:
    """Cast a constant in place, if it is float32 and large."""
    if node.attr["dtype"].type != types_pb2.DT_FLOAT:
        return False
    weight = tf.make_ndarray(node.attr["value"].tensor)
    if weight.size < LARGE:
        return False
    with np.errstate(over="ignore"):
        cast = weight.astype(np.float16)
    if not np.allclose(cast, weight, rtol=1e-3, atol=1e-6):
        raise ValueError(f"float16 cannot represent the weight {node.name}")
    node.attr["dtype"].type = types_pb2.DT_HALF
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(cast))
    return True
