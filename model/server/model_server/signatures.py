"""The signatures of a loaded SavedModel."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_from_session_graph,
)

from model_server.batching import batched
from model_server.engines import Runtime, tensorflow
from model_server.errors import InvalidArgument
from model_server.signature_graph import Infer, SignatureGraph
from model_server.tensors import to_array

VARIABLE_OPS = {"VarHandleOp", "VariableV2", "Variable"}

log = logging.getLogger("model_server")


@dataclass(frozen=True)
class Signature:
    """A signature; `run` takes arrays in the order of `inputs`, returns those of `outputs`."""

    inputs: dict[str, tf.TensorSpec]
    outputs: list[str]
    run: Infer

    def predict(
        self, protos: Mapping[str, tensor_pb2.TensorProto], output_filter: Iterable[str]
    ) -> dict[str, np.ndarray]:
        """Run the signature.

        Raises:
            InvalidArgument: the inputs or the filtered outputs are not the signature's.
            tf.errors.OpError: TensorFlow cannot compute it, for example Unavailable when the
                batching queue is full.
        """
        self._check_input_names(set(protos))
        names = list(output_filter) or self.outputs
        unknown = set(names) - set(self.outputs)
        if unknown:
            raise InvalidArgument(
                f"output tensor alias not found in signature: {_format_names(unknown)}"
            )
        arrays = [to_array(name, protos[name], spec) for name, spec in self.inputs.items()]
        outputs = dict(zip(self.outputs, self.run(*arrays), strict=True))
        return {name: outputs[name] for name in names}

    def _check_input_names(self, sent: set[str]) -> None:
        expected = set(self.inputs)
        if sent != expected:
            raise InvalidArgument(
                f"input size does not match signature: {len(sent)}!={len(expected)} "
                f"len({_format_names(sent)}) != len({_format_names(expected)}). "
                f"Sent extra: {_format_names(sent - expected)}. "
                f"Missing but required: {_format_names(expected - sent)}."
            )


def definitions(meta_graph: meta_graph_pb2.MetaGraphDef) -> dict[str, meta_graph_pb2.SignatureDef]:
    """Copies of the signature definitions; a reference would keep the weights in memory."""
    return {
        name: meta_graph_pb2.SignatureDef.FromString(definition.SerializeToString())
        for name, definition in meta_graph.signature_def.items()
    }


@dataclass(frozen=True)
class Builder:
    """Builds the signatures of the SavedModel in `folder` that is loaded into `session`."""

    session: tf.compat.v1.Session
    folder: Path
    runtime: Runtime

    def signatures(
        self, definitions: Mapping[str, meta_graph_pb2.SignatureDef]
    ) -> dict[str, Signature]:
        """All runnable signatures. The session's graph must be the default one."""
        runnable = {
            name: definition
            for name, definition in definitions.items()
            if not name.startswith("__saved_model_")  # its initialization
        }
        graph = self.session.graph.as_graph_def()
        frozen = self._freeze(graph, runnable.values())
        return {
            name: self._build_signature(name, definition, graph, frozen)
            for name, definition in runnable.items()
        }

    def _freeze(
        self, graph: graph_pb2.GraphDef, definitions: Iterable[meta_graph_pb2.SignatureDef]
    ) -> graph_pb2.GraphDef:
        """The graph with its variables turned into constants, for engines without variables."""
        if not any(node.op in VARIABLE_OPS for node in graph.node):
            return graph
        nodes = {node for definition in definitions for node in _node_names(definition)}
        return convert_variables_to_constants_from_session_graph(self.session, graph, sorted(nodes))

    def _build_signature(
        self,
        name: str,
        definition: meta_graph_pb2.SignatureDef,
        graph: graph_pb2.GraphDef,
        frozen: graph_pb2.GraphDef,
    ) -> Signature:
        inputs = dict(definition.inputs)
        outputs = {key: definition.outputs[key] for key in sorted(definition.outputs)}
        session = tf.compat.v1.Session(graph=tf.Graph(), config=self.runtime.config)
        signature_graph = SignatureGraph(name, self.folder, frozen, inputs, outputs, session)
        try:
            infer = self.runtime.engine(signature_graph)
        except ValueError:  # a variable that the signature assigns cannot become a constant
            log.info("signature %s cannot be frozen and keeps its variables: slower", name)
            infer = tensorflow(replace(signature_graph, graph=graph, session=self.session))
        specs = {key: _spec(info) for key, info in inputs.items()}
        if self.runtime.batching and _can_batch(definition):
            output_specs = [_spec(info) for info in outputs.values()]
            infer = batched(infer, list(specs.values()), output_specs, self.runtime.batching)
        return Signature(specs, list(outputs), infer)


def _node_names(definition: meta_graph_pb2.SignatureDef) -> set[str]:
    """The names of the nodes of the inputs and outputs."""
    infos = [*definition.inputs.values(), *definition.outputs.values()]
    return {info.name.split(":")[0] for info in infos}


def _spec(info: meta_graph_pb2.TensorInfo) -> tf.TensorSpec:
    return tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype))


def _can_batch(definition: meta_graph_pb2.SignatureDef) -> bool:
    """Whether all tensors have a batch dimension and no other variable input dimension."""
    inputs = [[dim.size for dim in info.tensor_shape.dim] for info in definition.inputs.values()]
    outputs = [info.tensor_shape.dim for info in definition.outputs.values()]
    return (
        all(sizes and sizes[0] == -1 and -1 not in sizes[1:] for sizes in inputs)
        and all(dims and dims[0].size == -1 for dims in outputs)
        and bool(inputs)
    )


def _format_names(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
