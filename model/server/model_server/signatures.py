"""The signatures of a SavedModel, ready to run."""

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
from model_server.engines import Infer, Part, Runtime, tensorflow
from model_server.errors import InvalidArgument
from model_server.tensors import to_array

VARIABLES = {"VarHandleOp", "VariableV2", "Variable"}

log = logging.getLogger("model_server")


@dataclass(frozen=True)
class Signature:
    """A signature that can be run: arrays in the order of `inputs` give those of `outputs`."""

    inputs: dict[str, tf.TensorSpec]
    outputs: list[str]
    run: Infer

    def predict(
        self, protos: Mapping[str, tensor_pb2.TensorProto], output_filter: Iterable[str]
    ) -> dict[str, np.ndarray]:
        """Run the signature.

        Raises:
            InvalidArgument: inputs or wanted outputs are not those of the signature.
            tf.errors.OpError: what TensorFlow says, such as Unavailable with a full queue.
        """
        self._check_names(set(protos))
        wanted = list(output_filter) or self.outputs
        unknown = set(wanted) - set(self.outputs)
        if unknown:
            raise InvalidArgument(f"output tensor alias not found in signature: {_names(unknown)}")
        arrays = [to_array(name, protos[name], spec) for name, spec in self.inputs.items()]
        given = dict(zip(self.outputs, self.run(*arrays), strict=True))
        return {name: given[name] for name in wanted}

    def _check_names(self, sent: set[str]) -> None:
        known = set(self.inputs)
        if sent != known:
            raise InvalidArgument(
                f"input size does not match signature: {len(sent)}!={len(known)} "
                f"len({_names(sent)}) != len({_names(known)}). "
                f"Sent extra: {_names(sent - known)}. "
                f"Missing but required: {_names(known - sent)}."
            )


def definitions(meta_graph: meta_graph_pb2.MetaGraphDef) -> dict[str, meta_graph_pb2.SignatureDef]:
    """Copies, for a part of a message keeps the whole of it alive, weights included."""
    return {
        name: meta_graph_pb2.SignatureDef.FromString(definition.SerializeToString())
        for name, definition in meta_graph.signature_def.items()
    }


@dataclass(frozen=True)
class Builder:
    """Makes signatures of the SavedModel in `folder` that was loaded into a session."""

    session: tf.compat.v1.Session
    folder: Path
    runtime: Runtime

    def signatures(
        self, definitions: Mapping[str, meta_graph_pb2.SignatureDef]
    ) -> dict[str, Signature]:
        """All that can be run. The session's graph must be the default one."""
        runnable = {
            name: definition
            for name, definition in definitions.items()
            if not name.startswith("__saved_model_")  # how it is initialized
        }
        graph = self.session.graph.as_graph_def()
        frozen = self._freeze(graph, runnable.values())
        return {
            name: self._signature(name, definition, graph, frozen)
            for name, definition in runnable.items()
        }

    def _freeze(
        self, graph: graph_pb2.GraphDef, definitions: Iterable[meta_graph_pb2.SignatureDef]
    ) -> graph_pb2.GraphDef:
        """Turn variables into constants, which an engine can work on."""
        if not any(node.op in VARIABLES for node in graph.node):
            return graph
        nodes = {node for definition in definitions for node in _nodes(definition)}
        return convert_variables_to_constants_from_session_graph(self.session, graph, sorted(nodes))

    def _signature(
        self,
        name: str,
        definition: meta_graph_pb2.SignatureDef,
        graph: graph_pb2.GraphDef,
        frozen: graph_pb2.GraphDef,
    ) -> Signature:
        inputs = dict(definition.inputs)
        outputs = {key: definition.outputs[key] for key in sorted(definition.outputs)}
        session = tf.compat.v1.Session(graph=tf.Graph(), config=self.runtime.config)
        part = Part(name, self.folder, frozen, inputs, outputs, session)
        try:
            infer = self.runtime.engine(part)
        except ValueError:  # a variable that the signature writes cannot be a constant
            log.info("signature %s cannot be frozen and keeps its variables: slower", name)
            infer = tensorflow(replace(part, graph=graph, session=self.session))
        specs = {key: _spec(info) for key, info in inputs.items()}
        if self.runtime.batching and _can_batch(definition):
            given = [_spec(info) for info in outputs.values()]
            infer = batched(infer, list(specs.values()), given, self.runtime.batching)
        return Signature(specs, list(outputs), infer)


def _nodes(definition: meta_graph_pb2.SignatureDef) -> list[str]:
    """The graph's nodes that take the inputs and give the outputs."""
    infos = [*definition.inputs.values(), *definition.outputs.values()]
    return sorted({info.name.split(":")[0] for info in infos})


def _spec(info: meta_graph_pb2.TensorInfo) -> tf.TensorSpec:
    return tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype))


def _can_batch(definition: meta_graph_pb2.SignatureDef) -> bool:
    """Whether all tensors have a batch dimension, and inputs of any two requests fit together."""
    inputs = [[dim.size for dim in info.tensor_shape.dim] for info in definition.inputs.values()]
    outputs = [info.tensor_shape.dim for info in definition.outputs.values()]
    return (
        all(sizes and sizes[0] == -1 and -1 not in sizes[1:] for sizes in inputs)
        and all(dims and dims[0].size == -1 for dims in outputs)
        and bool(inputs)
    )


def _names(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
