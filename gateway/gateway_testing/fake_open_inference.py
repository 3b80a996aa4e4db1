"""A server of the Open Inference Protocol that answers what a test tells it to."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np

from gateway_testing.fake_serving import sports_outputs
from gateway_testing.grpc_methods import Methods
from open_inference import MODEL_INFER, MODEL_METADATA, MODEL_READY
from open_inference import api_pb2 as oip

Metadata = dict[str, tuple[str, list[int]]]  # for each tensor datatype and shape

SPORTS_INPUTS: Metadata = {"images": ("UINT8", [-1, 299, 299, 3])}
SPORTS_OUTPUTS: Metadata = {
    "probabilities": ("FP32", [-1, 7]),
    "labels": ("BYTES", [-1, 7]),
    "in_domain": ("FP32", [-1]),
    "heatmaps": ("FP32", [-1, 8, 8]),
}


class FakeOpenInference:
    """Answers as its attributes say, which may change between requests; records `requests`."""

    def __init__(self) -> None:
        self.inputs, self.outputs = SPORTS_INPUTS, SPORTS_OUTPUTS
        self.arrays: dict[str, np.ndarray] | None = None  # None: those for cricket
        self.raw = True  # how the contents are sent
        self.ready = True
        self.versions = ["1"]
        self.version = "1"
        self.requests: list[oip.ModelInferRequest] = []
        self._server = grpc.server(ThreadPoolExecutor(4), handlers=[self._methods()])
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.host = f"127.0.0.1:{port}"
        self._server.start()

    def _methods(self) -> Methods:
        return Methods(
            {
                MODEL_READY: (self.model_ready, oip.ModelReadyRequest),
                MODEL_METADATA: (self.model_metadata, oip.ModelMetadataRequest),
                MODEL_INFER: (self.model_infer, oip.ModelInferRequest),
            }
        )

    def stop(self) -> None:
        self._server.stop(grace=None).wait()

    def model_ready(self, _: oip.ModelReadyRequest, __: object) -> oip.ModelReadyResponse:
        return oip.ModelReadyResponse(ready=self.ready)

    def model_metadata(self, _: oip.ModelMetadataRequest, __: object) -> oip.ModelMetadataResponse:
        def described(tensors: Metadata) -> list[oip.ModelMetadataResponse.TensorMetadata]:
            return [
                oip.ModelMetadataResponse.TensorMetadata(name=name, datatype=datatype, shape=shape)
                for name, (datatype, shape) in tensors.items()
            ]

        return oip.ModelMetadataResponse(
            name="sport-classification-model",
            versions=self.versions,
            inputs=described(self.inputs),
            outputs=described(self.outputs),
        )

    def model_infer(self, request: oip.ModelInferRequest, _: object) -> oip.ModelInferResponse:
        self.requests.append(request)
        count = request.inputs[0].shape[0]
        arrays = self.arrays or {**sports_outputs(count), "heatmaps": np.ones((count, 8, 8), "f4")}
        response = oip.ModelInferResponse(model_version=self.version)
        for name in [output.name for output in request.outputs]:
            if name in arrays:
                self._add(response, name, arrays[name])
        return response

    def _add(self, response: oip.ModelInferResponse, name: str, values: np.ndarray) -> None:
        is_float = values.dtype == np.float32
        tensor = response.outputs.add(
            name=name, datatype="FP32" if is_float else "BYTES", shape=values.shape
        )
        strings = [] if is_float else [str(text).encode() for text in values.ravel()]
        if self.raw and is_float:
            response.raw_output_contents.append(values.tobytes())
        elif self.raw:
            packed = (len(text).to_bytes(4, "little") + text for text in strings)
            response.raw_output_contents.append(b"".join(packed))
        elif is_float:
            tensor.contents.fp32_contents.extend(values.ravel())
        else:
            tensor.contents.bytes_contents.extend(strings)
