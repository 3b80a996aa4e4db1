"""One loaded version of a model."""

from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from model_server import signatures
from model_server.engines import Runtime
from model_server.errors import InvalidArgument
from model_server.tensors import to_proto

DEFAULT_SIGNATURE = "serving_default"
WARM_UP_FILE = Path("assets.extra/tf_serving_warmup_requests")
MAX_WARM_UP_REQUESTS = 1000  # TensorFlow Serving's limit


class Servable:
    """A loaded SavedModel.

    As in TensorFlow Serving it has its own session: after the last request that uses it,
    everything that was loaded is freed, including the batching queues.
    """

    def __init__(self, folder: Path, runtime: Runtime) -> None:
        """Load the model and replay its warm-up requests.

        Args:
            folder: the version's folder; its name is the version number.
            runtime: how its signatures are run.

        Raises:
            Exception: the folder cannot be loaded; TensorFlow raises many types.
        """
        self.version = int(folder.name)
        session = tf.compat.v1.Session(graph=tf.Graph(), config=runtime.config)
        with session.graph.as_default():
            meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
            self.definitions = signatures.definitions(meta_graph)
            builder = signatures.Builder(session, folder, runtime)
            self.signatures = builder.signatures(self.definitions)
        self.warm_up_requests = self._warm_up(folder / WARM_UP_FILE)

    def predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        """Run the signature that the request names.

        Raises:
            InvalidArgument: there is no such signature, or the request does not fit it.
            tf.errors.OpError: TensorFlow cannot compute it.
        """
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
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
        """Replay the requests stored with the model; return their number."""
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
