"""Asking a model over the Open Inference Protocol (KServe's "v2"): Triton, OpenVINO, MLServer."""

from collections.abc import Iterator, Sequence

import numpy as np

from gateway.errors import ModelFailed, ModelUnavailable
from gateway.model_channel import ModelChannel
from gateway.signatures import HEATMAPS, Signature, Tensors, TensorSpec, declared_shape
from open_inference import MODEL_INFER, MODEL_METADATA, MODEL_READY, SERVICE
from open_inference import api_pb2 as oip

DTYPES = {"UINT8": "uint8", "FP32": "float32", "BYTES": "string"}
DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items()}


class OpenInferenceClient:
    """Speaks the protocol's gRPC API with raw tensor contents."""

    services = (SERVICE,)

    def __init__(self, channel: ModelChannel, model_name: str) -> None:
        self._channel = channel
        self._model_name = model_name

    def signature(self, labels: tuple[str, ...], deadline: float) -> Signature:
        request = oip.ModelMetadataRequest(name=self._model_name)
        response = self._channel.call(MODEL_METADATA, request, oip.ModelMetadataResponse, deadline)
        outputs = {tensor.name: _spec(tensor) for tensor in response.outputs}
        return Signature.from_specs(
            max(map(_version, response.versions), default=0),
            {tensor.name: _spec(tensor) for tensor in response.inputs},
            outputs,
            labels,
            explains=HEATMAPS in outputs,
        )

    def infer(
        self,
        images: Sequence[np.ndarray],
        signature: Signature,
        deadline: float,
        explain: bool,
        request_id: str,
    ) -> tuple[Tensors, int]:
        tensor = oip.ModelInferRequest.InferInputTensor(
            name=signature.input,
            datatype=DATATYPES[signature.dtype],
            shape=[len(images), *images[0].shape],
        )
        wanted = [
            oip.ModelInferRequest.InferRequestedOutputTensor(name=name)
            for name in signature.outputs
            if explain or name != HEATMAPS
        ]
        request = oip.ModelInferRequest(
            model_name=self._model_name,
            id=request_id,
            inputs=[tensor],
            outputs=wanted,
            raw_input_contents=[b"".join(image.tobytes() for image in images)],
        )
        response = self._channel.call(
            MODEL_INFER, request, oip.ModelInferResponse, deadline, request_id
        )
        return _arrays(response), _version(response.model_version)

    def check_available(self, deadline: float) -> None:
        request = oip.ModelReadyRequest(name=self._model_name)
        response = self._channel.call(MODEL_READY, request, oip.ModelReadyResponse, deadline)
        if not response.ready:
            raise ModelUnavailable("No version of the model is available.")


def _spec(tensor: oip.ModelMetadataResponse.TensorMetadata) -> TensorSpec:
    return TensorSpec(DTYPES.get(tensor.datatype, ""), tuple(tensor.shape))


def _version(text: str) -> int:
    """A version's number; 0 for one that has another name, or none."""
    return int(text) if text.isascii() and text.isdecimal() else 0


def _arrays(response: oip.ModelInferResponse) -> dict[str, np.ndarray]:
    """The outputs, whose contents are either all raw or all typed."""
    raw = response.raw_output_contents
    if raw and len(raw) != len(response.outputs):
        raise ModelFailed("The model's answer lacks an output.")
    arrays = {}
    for number, tensor in enumerate(response.outputs):
        with declared_shape():
            if tensor.datatype == "BYTES":
                strings = _strings(raw[number]) if raw else tensor.contents.bytes_contents
                values = np.array(list(strings), object)
            elif raw:
                values = np.frombuffer(raw[number], "<f4")
            else:
                values = np.array(tensor.contents.fp32_contents, np.float32)
            arrays[tensor.name] = values.reshape(tuple(tensor.shape))
    return arrays


def _strings(raw: bytes) -> Iterator[bytes]:
    """Strings, each after its length in four bytes, little-endian."""
    start = 0
    while start < len(raw):
        end = start + 4 + int.from_bytes(raw[start : start + 4], "little")
        if end > len(raw):
            raise ValueError("a string is cut off")
        yield raw[start + 4 : end]
        start = end
