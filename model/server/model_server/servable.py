"""One loaded version of a model."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from model_server.batching import BatchingParameters, batched
from model_server.errors import InvalidArgument
from model_server.tensors import to_array, to_proto

DEFAULT = "serving_default"
WARM_UP = Path("assets.extra/tf_serving_warmup_requests")
MAX_WARM_UP_REQUESTS = 1000


@dataclass(frozen=True)
class Signature:
    """A signature that can be run: tensors in the order of `inputs` give those of `outputs`."""

    inputs: dict[str, tf.TensorSpec]
    outputs: list[str]
    run: Any

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
        results = self.run(*map(tf.constant, arrays))
        given = {name: result.numpy() for name, result in zip(self.outputs, results, strict=True)}
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


class Servable:
    """A SavedModel, ready to answer."""

    def __init__(self, folder: Path, batching: BatchingParameters | None) -> None:
        """Load and warm up.

        Raises:
            Exception: whatever is wrong with the folder; TensorFlow raises many kinds.
        """
        self.version = int(folder.name)
        self.definitions = _definitions(folder)
        loaded = tf.saved_model.load(str(folder), tags=["serve"])
        self._signatures = {
            name: _signature(self.definitions[name], function, batching)
            for name, function in loaded.signatures.items()
        }
        self.warm_up_requests = self._warm_up(folder / WARM_UP)

    def predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        """Answer a request; raises what `Signature.predict` does, and InvalidArgument."""
        name = request.model_spec.signature_name or DEFAULT
        if name not in self._signatures:
            raise InvalidArgument(f'Serving signature key "{name}" not found.')
        outputs = self._signatures[name].predict(request.inputs, request.output_filter)
        response = predict_pb2.PredictResponse(
            outputs={key: to_proto(values) for key, values in outputs.items()}
        )
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = self.version
        response.model_spec.signature_name = name
        return response

    def _warm_up(self, file: Path) -> int:
        if not file.exists():
            return 0
        records = tf.data.TFRecordDataset(str(file)).take(MAX_WARM_UP_REQUESTS)
        count = 0
        for record in records.as_numpy_iterator():
            log = prediction_log_pb2.PredictionLog.FromString(record)
            self.predict(log.predict_log.request)
            count += 1
        return count


def _definitions(folder: Path) -> dict[str, meta_graph_pb2.SignatureDef]:
    """The signatures of the graph tagged "serve"."""
    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    for graph in model.meta_graphs:
        if "serve" in graph.meta_info_def.tags:
            return dict(graph.signature_def)
    raise ValueError(f"{folder}: no graph is tagged 'serve'")


def _signature(
    definition: meta_graph_pb2.SignatureDef, function: Any, batching: BatchingParameters | None
) -> Signature:
    specs = {name: _spec(info) for name, info in definition.inputs.items()}
    outputs = sorted(definition.outputs)  # the order in which tf.nest flattens them
    frozen = _freeze(function)

    def run(*tensors: tf.Tensor) -> list[tf.Tensor]:
        results: list[tf.Tensor] = tf.nest.flatten(frozen(**dict(zip(specs, tensors, strict=True))))
        return results

    infos = [*definition.inputs.values(), *definition.outputs.values()]
    inputs = list(specs.values())
    if batching and all(_has_batch_dimension(info) for info in infos):
        return Signature(specs, outputs, batched(run, inputs, batching))
    plain = tf.function(run, input_signature=inputs).get_concrete_function()
    return Signature(specs, outputs, plain)


def _freeze(function: Any) -> Any:
    """Turn variables into constants, which TensorFlow's optimizer can work on."""
    return convert_variables_to_constants_v2(function) if function.variables else function


def _spec(info: meta_graph_pb2.TensorInfo) -> tf.TensorSpec:
    return tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype))


def _has_batch_dimension(info: meta_graph_pb2.TensorInfo) -> bool:
    dims = info.tensor_shape.dim
    return bool(dims) and dims[0].size == -1


def _names(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
