"""One signature of a version: requests in, responses out."""

from collections.abc import Iterable, Mapping

import numpy as np

from model_server.batching import Queue, compute_in_parts
from model_server.batching_parameters import BatchingParameters
from model_server.errors import InvalidArgument
from model_server.networks import Infer
from model_server.tensors import to_array
from tf_serving import api_pb2 as tf


class Signature:
    """A signature and the queue of the requests to it."""

    def __init__(
        self, definition: tf.SignatureDef, infer: Infer, batching: BatchingParameters | None
    ) -> None:
        """A signature.

        Args:
            definition: names, types and shapes of its inputs and outputs.
            infer: computes all outputs.
            batching: how requests are computed together; None: each by itself.
        """
        self._definition = definition
        self._has_rows = has_batch_dimension(definition)
        if self._has_rows and batching is None:
            self._queue = Queue(lambda inputs: compute_in_parts(infer, inputs))
        else:
            self._queue = Queue(infer, batching if self._has_rows else None)

    def predict(
        self, protos: Mapping[str, tf.TensorProto], output_filter: Iterable[str], deadline: float
    ) -> dict[str, np.ndarray]:
        """Compute outputs.

        Args:
            protos: the inputs by name.
            output_filter: names of the wanted outputs; none: all.
            deadline: when to stop waiting, on time.monotonic's clock.

        Raises:
            InvalidArgument: the inputs or the filter do not fit the signature.
            Unavailable: too many requests wait.
            DeadlineExceeded
        """
        self._check_input_names(set(protos))
        names = self._filtered(list(output_filter))
        inputs = {
            name: to_array(name, protos[name], info)
            for name, info in self._definition.inputs.items()
        }
        if self._has_rows and len({len(array) for array in inputs.values()}) > 1:
            raise InvalidArgument("The inputs have different numbers of rows")
        outputs = self._queue.run(inputs, deadline)
        return {name: outputs[name] for name in names}

    def _filtered(self, names: list[str]) -> list[str]:
        """The names of the outputs that a request asks for."""
        outputs = self._definition.outputs
        for name in names:
            if name not in outputs:
                raise InvalidArgument(
                    f"output tensor alias not found in signature: {name} "
                    f"Outputs expected to be in the set {_format(outputs)}."
                )
            if names.count(name) > 1:
                raise InvalidArgument(f"duplicate output tensor alias: {name}")
        return names or sorted(outputs)

    def _check_input_names(self, sent: set[str]) -> None:
        expected = set(self._definition.inputs)
        if sent != expected:
            raise InvalidArgument(
                f"input size does not match signature: {len(sent)}!={len(expected)} "
                f"len({_format(sent)}) != len({_format(expected)}). "
                f"Sent extra: {_format(sent - expected)}. "
                f"Missing but required: {_format(expected - sent)}."
            )


def has_batch_dimension(definition: tf.SignatureDef) -> bool:
    """Whether all tensors have a batch dimension and no other variable input dimension."""
    inputs = [[dim.size for dim in info.tensor_shape.dim] for info in definition.inputs.values()]
    outputs = [info.tensor_shape.dim for info in definition.outputs.values()]
    return (
        all(sizes and sizes[0] == -1 and -1 not in sizes[1:] for sizes in inputs)
        and all(dims and dims[0].size == -1 for dims in outputs)
        and bool(inputs)
    )


def _format(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
