"""The gRPC services, as TensorFlow Serving defines them."""

import logging
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from model_server.errors import DeadlineExceeded, InvalidArgument, NotFound, status_of
from model_server.servable import Servable
from model_server.versions import Versions

SIGNATURE_DEF = "signature_def"

log = logging.getLogger("model_server")


def _abort_on_error(method: Callable[..., Any]) -> Callable[..., Any]:
    """End the call with the gRPC status of the exception that `method` raises."""

    def call(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            remaining = context.time_remaining()
            if remaining is not None and remaining <= 0:
                raise DeadlineExceeded("Deadline exceeded before the request was started")
            if not request.HasField("model_spec"):
                raise InvalidArgument("Missing ModelSpec")
            return method(self, request)
        except Exception as error:
            code, message = status_of(error)
            if code is grpc.StatusCode.INTERNAL:
                log.exception("%s failed", method.__name__)
        context.abort(code, message)

    return call


def _find_servable(versions: Versions, spec: model_pb2.ModelSpec) -> Servable:
    if spec.version_label:
        raise InvalidArgument(f"Unrecognized servable version label: {spec.version_label}")
    version = spec.version.value if spec.HasField("version") else None
    return versions.servable(spec.name, version)


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata; Classify, Regress and MultiInference are UNIMPLEMENTED."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    @_abort_on_error
    def Predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        return _find_servable(self._versions, request.model_spec).predict(request)

    @_abort_on_error
    def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        if not request.metadata_field:
            raise InvalidArgument(
                "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for name in request.metadata_field:
            if name != SIGNATURE_DEF:
                raise InvalidArgument(f"Metadata field {name} is not supported")
        servable = _find_servable(self._versions, request.model_spec)
        signatures = AnyMessage()
        signatures.Pack(get_model_metadata_pb2.SignatureDefMap(signature_def=servable.definitions))
        response = get_model_metadata_pb2.GetModelMetadataResponse(
            metadata={SIGNATURE_DEF: signatures}
        )
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = servable.version
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus; HandleReloadConfigRequest is UNIMPLEMENTED."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    @_abort_on_error
    def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        spec = request.model_spec
        statuses = self._versions.statuses() if spec.name == self._versions.model_name else {}
        if spec.HasField("version"):
            statuses = {v: s for v, s in statuses.items() if v == spec.version.value}
        if not statuses:
            raise NotFound(f"Could not find any versions of model {spec.name}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for version, status in statuses.items():
            row = response.model_version_status.add(version=version, state=status.state)
            row.status.error_code = status.error_code
            row.status.error_message = status.error_message
        return response
