"""One loaded version of a model."""

import math
import threading
from dataclasses import dataclass
from pathlib import Path

from model_server import precision, warm_up
from model_server.batching import ROWS_AT_ONCE
from model_server.batching_parameters import BatchingParameters
from model_server.errors import FailedPrecondition, ServingError
from model_server.networks import Compiler, Networks
from model_server.saved_model import DEFAULT_SIGNATURE, read_signatures
from model_server.signatures import Signature
from model_server.tensors import to_proto
from tf_serving import api_pb2 as tf


@dataclass(frozen=True)
class Runtime:
    """How versions are computed.

    Attributes:
        precision: one of precision.CHOICES.
        batching: how requests are computed together; None: each by itself.
        threads: that compute; 0 leaves OpenVINO the choice.
        cache: a folder that keeps compiled networks for the next start.
    """

    precision: str = "auto"
    batching: BatchingParameters | None = None
    threads: int = 0
    cache: Path | None = None


class Servable:
    """A version whose default signature is compiled; the others are by the first request."""

    def __init__(self, folder: Path, runtime: Runtime) -> None:
        """Load a version and replay its warm-up requests.

        Args:
            folder: the version's folder; its name is the version number.
            runtime: how to compute it.

        Raises:
            OSError, ValueError: its files cannot be read.
            ServingError: its default signature cannot be computed, or a warm-up request fails.
        """
        self.version = int(folder.name)
        self.definitions = read_signatures(folder)
        self.precision = precision.choose(runtime.precision, folder)
        compiler = Compiler(self.precision, runtime.threads, runtime.cache)
        self._networks, self._batching = Networks(folder, compiler), runtime.batching
        self._signatures: dict[str, Signature | ServingError] = {}
        self._compiling = threading.Lock()
        if DEFAULT_SIGNATURE in self.definitions:
            self._signature(DEFAULT_SIGNATURE)
        self.warm_up_requests = self._warm_up(warm_up.read_requests(folder))

    def predict(self, request: tf.PredictRequest, deadline: float) -> tf.PredictResponse:
        """Compute the signature that the request names.

        Args:
            request: of which only the name of the model is not looked at.
            deadline: when to stop waiting, on time.monotonic's clock.

        Raises:
            ServingError
        """
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        signature = self._signature(name)
        outputs = signature.predict(request.inputs, request.output_filter, deadline)
        response = tf.PredictResponse(
            outputs={key: to_proto(values) for key, values in outputs.items()}
        )
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = self.version
        response.model_spec.signature_name = name
        return response

    def _signature(self, name: str) -> Signature:
        """A signature, compiled when it is first needed."""
        if name not in self.definitions:
            raise FailedPrecondition(f'Serving signature key "{name}" not found.')
        with self._compiling:
            if name not in self._signatures:
                self._signatures[name] = self._compile(self.definitions[name])
        signature = self._signatures[name]
        if isinstance(signature, ServingError):
            raise signature
        return signature

    def _compile(self, definition: tf.SignatureDef) -> Signature | ServingError:
        try:
            infer = self._networks.compile(definition)
        except ServingError as error:
            return error
        return Signature(definition, infer, self._batching)

    def _warm_up(self, requests: list[tf.PredictRequest]) -> int:
        """Replay the requests to the default signature; return their number.

        Those of more rows than are computed at once would compute the same again.
        """
        count = 0
        for request in requests:
            name = request.model_spec.signature_name or DEFAULT_SIGNATURE
            if name not in self.definitions:
                raise FailedPrecondition(f'Serving signature key "{name}" not found.')
            if name == DEFAULT_SIGNATURE and _rows(request) <= ROWS_AT_ONCE:
                self.predict(request, math.inf)
                count += 1
        return count


def _rows(request: tf.PredictRequest) -> int:
    shapes = [list(tensor.tensor_shape.dim) for tensor in request.inputs.values()]
    return max((shape[0].size for shape in shapes if shape), default=0)
