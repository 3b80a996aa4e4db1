"""Asking a model over TensorFlow Serving's gRPC API."""

from collections.abc import Mapping, Sequence

import numpy as np

from gateway.errors import ModelFailed, ModelUnavailable
from gateway.model_channel import ModelChannel
from gateway.signatures import Signature, Tensors, TensorSpec, declared_shape
from tf_serving import GET_MODEL_METADATA, GET_MODEL_STATUS, PREDICT
from tf_serving import api_pb2 as tf

SERVING_DEFAULT, EXPLAIN = "serving_default", "explain"
DTYPES = {tf.DT_UINT8: "uint8", tf.DT_FLOAT: "float32", tf.DT_STRING: "string"}
NUMBERS = {dtype: number for number, dtype in DTYPES.items()}


class TFServingClient:
    """Speaks the API that TensorFlow Serving and the embedded model server have."""

    services = ("tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")

    def __init__(self, channel: ModelChannel, model_name: str) -> None:
        self._channel = channel
        self._model_name = model_name

    def signature(self, labels: tuple[str, ...], deadline: float) -> Signature:
        request = tf.GetModelMetadataRequest(
            model_spec=self._spec(), metadata_field=["signature_def"]
        )
        response = self._channel.call(
            GET_MODEL_METADATA, request, tf.GetModelMetadataResponse, deadline
        )
        packed = response.metadata["signature_def"].value
        signatures = tf.SignatureDefMap.FromString(packed).signature_def
        if SERVING_DEFAULT not in signatures:
            raise ModelFailed(f"The model has no signature {SERVING_DEFAULT!r}.")
        signature = signatures[SERVING_DEFAULT]
        return Signature.from_specs(
            response.model_spec.version.value,
            specs(signature.inputs),
            specs(signature.outputs),
            labels,
            explains=EXPLAIN in signatures,
        )

    def infer(
        self,
        images: Sequence[np.ndarray],
        signature: Signature,
        deadline: float,
        explain: bool,
        request_id: str,
    ) -> tuple[Tensors, int]:
        sizes = (len(images), *images[0].shape)
        tensor = tf.TensorProto(
            dtype=NUMBERS[signature.dtype],
            tensor_shape=tf.TensorShapeProto(
                dim=[tf.TensorShapeProto.Dim(size=size) for size in sizes]
            ),
            tensor_content=b"".join(image.tobytes() for image in images),
        )
        request = tf.PredictRequest(
            model_spec=self._spec(EXPLAIN if explain else SERVING_DEFAULT),
            inputs={signature.input: tensor},
        )
        response = self._channel.call(PREDICT, request, tf.PredictResponse, deadline, request_id)
        outputs = {name: _array(proto) for name, proto in response.outputs.items()}
        return outputs, response.model_spec.version.value

    def check_available(self, deadline: float) -> None:
        request = tf.GetModelStatusRequest(model_spec=self._spec())
        response = self._channel.call(
            GET_MODEL_STATUS, request, tf.GetModelStatusResponse, deadline
        )
        states = {status.state for status in response.model_version_status}
        if tf.ModelVersionStatus.AVAILABLE not in states:
            raise ModelUnavailable("No version of the model is available.")

    def _spec(self, signature_name: str = "") -> tf.ModelSpec:
        return tf.ModelSpec(name=self._model_name, signature_name=signature_name)


def specs(infos: Mapping[str, tf.TensorInfo]) -> dict[str, TensorSpec]:
    """The inputs or outputs of a signature, by name."""
    return {
        name: TensorSpec(DTYPES.get(info.dtype, ""), _shape(info.tensor_shape))
        for name, info in infos.items()
    }


def _shape(shape: tf.TensorShapeProto) -> tuple[int, ...]:
    return tuple(dim.size for dim in shape.dim)


def _array(tensor: tf.TensorProto) -> np.ndarray:
    with declared_shape():
        if tensor.dtype == tf.DT_FLOAT and tensor.tensor_content:
            values = np.frombuffer(tensor.tensor_content, "<f4")
        elif tensor.dtype == tf.DT_FLOAT:
            values = np.array(tensor.float_val, np.float32)
        else:
            values = np.array(tensor.string_val, object)
        return values.reshape(_shape(tensor.tensor_shape))
