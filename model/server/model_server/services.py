"""The gRPC methods, as TensorFlow Serving defines them; all others are UNIMPLEMENTED."""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage

import tf_serving
from model_server.errors import DeadlineExceeded, InvalidArgument, NotFound, status_of
from model_server.servable import Servable
from model_server.versions import Versions
from tf_serving import api_pb2 as tf

SIGNATURE_DEF = "signature_def"
SIGNATURE_DEF_MAP = "type.googleapis.com/tensorflow.serving.SignatureDefMap"

# Takes a request and its deadline, on time.monotonic's clock.
Method = Callable[[Any, float], Any]

log = logging.getLogger("model_server")


class Services:
    """The methods of PredictionService and ModelService on the versions of a model."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    def predict(self, request: tf.PredictRequest, deadline: float) -> tf.PredictResponse:
        return self._servable(request.model_spec).predict(request, deadline)

    def get_model_metadata(
        self, request: tf.GetModelMetadataRequest, _: float
    ) -> tf.GetModelMetadataResponse:
        if not request.metadata_field:
            raise InvalidArgument(
                "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for name in request.metadata_field:
            if name != SIGNATURE_DEF:
                raise InvalidArgument(f"Metadata field {name} is not supported")
        servable = self._servable(request.model_spec)
        signatures = tf.SignatureDefMap(signature_def=servable.definitions).SerializeToString()
        packed = AnyMessage(type_url=SIGNATURE_DEF_MAP, value=signatures)
        response = tf.GetModelMetadataResponse(metadata={SIGNATURE_DEF: packed})
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = servable.version
        return response

    def get_model_status(
        self, request: tf.GetModelStatusRequest, _: float
    ) -> tf.GetModelStatusResponse:
        spec = request.model_spec
        statuses = self._versions.statuses() if spec.name == self._versions.model_name else {}
        if spec.HasField("version"):
            version = spec.version.value
            if version not in statuses:
                raise NotFound(f"Could not find version {version} of model {spec.name}")
            statuses = {version: statuses[version]}
        if not statuses:
            raise NotFound(f"Could not find any versions of model {spec.name}")
        return tf.GetModelStatusResponse(model_version_status=statuses.values())

    def _servable(self, spec: tf.ModelSpec) -> Servable:
        if not spec.name:
            raise InvalidArgument("ModelSpec has no name specified.")
        if spec.version_label:
            raise InvalidArgument(f"Unrecognized servable version label: {spec.version_label}")
        version = spec.version.value if spec.HasField("version") else None
        return self._versions.servable(spec.name, version)


def handlers(versions: Versions) -> list[grpc.GenericRpcHandler]:
    """What a gRPC server needs to answer the methods."""
    services = Services(versions)
    methods: dict[str, tuple[Method, Any]] = {
        tf_serving.PREDICT: (services.predict, tf.PredictRequest),
        tf_serving.GET_MODEL_METADATA: (services.get_model_metadata, tf.GetModelMetadataRequest),
        tf_serving.GET_MODEL_STATUS: (services.get_model_status, tf.GetModelStatusRequest),
    }
    made = []
    for path, (method, request_type) in methods.items():
        _, service, name = path.split("/")
        handler: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(
            abort_on_error(method),
            request_deserializer=request_type.FromString,
            response_serializer=lambda response: response.SerializeToString(),
        )
        made.append(grpc.method_handlers_generic_handler(service, {name: handler}))
    return made


def abort_on_error(method: Method) -> Callable[[Any, grpc.ServicerContext], Any]:
    """End the call with the gRPC status of the exception that the method raises."""

    def call(request: Any, context: grpc.ServicerContext) -> Any:
        remaining = context.time_remaining()
        try:
            if remaining is not None and remaining <= 0:
                raise DeadlineExceeded("Deadline exceeded before the request was started")
            if not request.HasField("model_spec"):
                raise InvalidArgument("Missing ModelSpec")
            deadline = math.inf if remaining is None else time.monotonic() + remaining
            return method(request, deadline)
        except Exception as error:
            code, message = status_of(error)
            if code is grpc.StatusCode.INTERNAL:
                log.exception("%s failed", method.__name__)
        context.abort(code, message)

    return call
