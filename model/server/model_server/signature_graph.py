"""The part of a TensorFlow graph that computes one signature."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, rewriter_config_pb2
from tensorflow.python.grappler import tf_optimizer

Infer = Callable[..., list[np.ndarray]]  # takes the inputs in order, returns the outputs in order


@dataclass(frozen=True)
class SignatureGraph:
    """The part of a version's graph that computes a signature.

    Attributes:
        signature: its name.
        folder: the version's folder.
        graph: has at least the nodes between inputs and outputs.
        inputs: name, type and shape of the tensors in the graph, by their names in the signature.
        outputs: the same for the outputs.
        session: the session in which TensorFlow computes it.
    """

    signature: str
    folder: Path
    graph: graph_pb2.GraphDef
    inputs: dict[str, meta_graph_pb2.TensorInfo]
    outputs: dict[str, meta_graph_pb2.TensorInfo]
    session: tf.compat.v1.Session

    def placeholders(self) -> list[tf.Tensor]:
        """New placeholders for the inputs, in the default graph."""
        return [
            tf.compat.v1.placeholder(info.dtype, tf.TensorShape(info.tensor_shape), f"input_{n}")
            for n, info in enumerate(self.inputs.values())
        ]

    def pruned(self) -> graph_pb2.GraphDef:
        """The graph without the nodes that the outputs do not depend on."""
        infos = (*self.inputs.values(), *self.outputs.values())
        nodes = sorted({info.name.partition(":")[0] for info in infos})
        return tf.compat.v1.graph_util.extract_sub_graph(self.graph, nodes)

    def apply(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """The outputs computed from `tensors`, added to the default graph.

        Raises:
            ValueError: the graph cannot be imported.
        """
        names = [info.name for info in self.inputs.values()]
        outputs: list[tf.Tensor] = tf.graph_util.import_graph_def(
            self.pruned(),
            input_map=dict(zip(names, tensors, strict=True)),
            return_elements=[info.name for info in self.outputs.values()],
        )
        return outputs

    def inlined(self) -> Self:
        """The same computation with all function calls inlined, by TensorFlow's own optimizer.

        Nodes without a path to an output, such as assertions, are left out.

        Raises:
            ValueError, tf.errors.OpError: the graph cannot be imported or optimized.
        """
        with tf.Graph().as_default() as graph:
            inputs = self.placeholders()
            outputs = [tf.identity(o, f"output_{n}") for n, o in enumerate(self.apply(inputs))]
        meta_graph = tf.compat.v1.train.export_meta_graph(graph=graph)
        preserved = meta_graph.collection_def["train_op"].node_list.value
        preserved.extend(tensor.op.name for tensor in (*inputs, *outputs))
        config = config_pb2.ConfigProto()
        rewrites = config.graph_options.rewrite_options
        rewrites.optimizers.append("function")
        rewrites.function_optimization = rewriter_config_pb2.RewriterConfig.AGGRESSIVE
        rewrites.min_graph_nodes = -1  # optimizes graphs of a single call as well
        optimized = tf_optimizer.OptimizeGraph(config, meta_graph)
        optimized.library.Clear()  # each inlined function still has a copy of the weights
        return replace(
            self,
            graph=optimized,
            inputs=dict(zip(self.inputs, map(_tensor_info, inputs), strict=True)),
            outputs=dict(zip(self.outputs, map(_tensor_info, outputs), strict=True)),
        )


def _tensor_info(tensor: tf.Tensor) -> meta_graph_pb2.TensorInfo:
    return tf.compat.v1.saved_model.build_tensor_info(tensor)
