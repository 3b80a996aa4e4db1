"""One loaded version of a model."""

from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from model_server import signatures
from model_server.engines import Runtime
from model_server.errors import InvalidArgument
from model_server.tensors import to_proto

DEFAULT = "serving_default"
WARM_UP = Path("assets.extra/tf_serving_warmup_requests")
MAX_WARM_UP_REQUESTS = 1000  # TensorFlow Serving's limit


class Servable:
    """A SavedModel, ready to answer.

    As in TensorFlow Serving it has a session of its own: when the last request that
    uses it is done, all that was loaded is freed, the batching queues included.
    """

    def __init__(self, folder: Path, runtime: Runtime) -> None:
        """Load and warm up.

        Args:
            folder: the version's, named by its number.
            runtime: what computes it.

        Raises:
            Exception: whatever is wrong with the folder; TensorFlow raises many kinds.
        """
        self.version = int(folder.name)
        session = tf.compat.v1.Session(graph=tf.Graph(), config=runtime.config)
        with session.graph.as_default():
            meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
            self.definitions = signatures.definitions(meta_graph)
            builder = signatures.Builder(session, folder, runtime)
            self.signatures = builder.signatures(self.definitions)
        self.warm_up_requests = self._warm_up(folder / WARM_UP)

    def predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        """Answer a request; raises what `Signature.predict` does, and InvalidArgument."""
        name = request.model_spec.signature_name or DEFAULT
        if name not in self.signatures:
            raise InvalidArgument(f'Serving signature key "{name}" not found.')
        outputs = self.signatures[name].predict(request.inputs, request.output_filter)
        response = predict_pb2.PredictResponse(
            outputs={key: to_proto(values) for key, values in outputs.items()}
        )
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = self.version
        response.model_spec.signature_name = name
        return response

    def _warm_up(self, file: Path) -> int:
        """Replay the requests that lie beside the model; the number of them."""
        if not file.exists():
            return 0
        count = 0
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            if count == MAX_WARM_UP_REQUESTS:
                raise ValueError(f"more than {MAX_WARM_UP_REQUESTS} warm-up requests")
            log = prediction_log_pb2.PredictionLog.FromString(record)
            self.predict(log.predict_log.request)
            count += 1
        return count
