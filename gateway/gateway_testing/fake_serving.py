"""A model server that answers what a test tells it to, over a real socket.

As a process of its own: python -m gateway_testing.fake_serving ADDRESS DELAY
"""

import sys
import threading
import time
from collections import deque
from collections.abc import MutableSequence
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
from google.protobuf import any_pb2
from google.protobuf.wrappers_pb2 import Int64Value

from gateway_testing.grpc_methods import Methods
from tf_serving import GET_MODEL_METADATA, GET_MODEL_STATUS, PREDICT
from tf_serving import api_pb2 as tf

Outputs = dict[str, np.ndarray]
SPORTS = ("badminton", "cricket", "karate", "soccer", "swimming", "tennis", "wrestling")


def tensor(values: np.ndarray) -> tf.TensorProto:
    shape = tf.TensorShapeProto(dim=[tf.TensorShapeProto.Dim(size=n) for n in values.shape])
    if values.dtype == np.float32:
        return tf.TensorProto(dtype=tf.DT_FLOAT, tensor_shape=shape, float_val=values.ravel())
    texts = [str(text).encode() for text in values.ravel()]
    return tf.TensorProto(dtype=tf.DT_STRING, tensor_shape=shape, string_val=texts)


def info(dtype: tf.DataType, *sizes: int) -> tf.TensorInfo:
    dims = [tf.TensorShapeProto.Dim(size=size) for size in sizes]
    return tf.TensorInfo(dtype=dtype, tensor_shape=tf.TensorShapeProto(dim=dims))


def sports_signatures(height: int = 299, width: int = 299) -> dict[str, tf.SignatureDef]:
    images = {"images": info(tf.DT_UINT8, -1, height, width, 3)}
    outputs = {"probabilities": info(tf.DT_FLOAT, -1, 7), "labels": info(tf.DT_STRING, -1, 7)}
    return {
        "serving_default": tf.SignatureDef(
            inputs=images, outputs={**outputs, "in_domain": info(tf.DT_FLOAT, -1)}
        ),
        "explain": tf.SignatureDef(
            inputs=images, outputs={**outputs, "heatmaps": info(tf.DT_FLOAT, -1, 8, 8)}
        ),
    }


def keras_signatures(classes: int = 3, size: int = 32) -> dict[str, tf.SignatureDef]:
    return {
        "serving_default": tf.SignatureDef(
            inputs={"input_7": info(tf.DT_FLOAT, -1, size, size, 3)},
            outputs={"dense_5": info(tf.DT_FLOAT, -1, classes)},
        )
    }


def sports_outputs(count: int = 1, top: str = "cricket") -> Outputs:
    row = np.array([0.88 if sport == top else 0.02 for sport in SPORTS], np.float32)
    return {
        "probabilities": np.tile(row, (count, 1)),
        "labels": np.tile(np.array(SPORTS), (count, 1)),
        "in_domain": np.full(count, 0.9, np.float32),
    }


class FakeServing:
    """Answers as its attributes say, which may change between requests; records `requests`."""

    def __init__(
        self,
        address: str = "127.0.0.1:0",
        options: tuple[tuple[str, int], ...] = (),
        threads: int = 8,
    ) -> None:
        self.answering = threading.Event()  # while it is cleared, Predict waits
        self.reset()
        self.requests: MutableSequence[tf.PredictRequest] = []
        self.metadata: MutableSequence[dict[str, str | bytes]] = []
        self.metadata_calls = 0
        self._server = grpc.server(
            ThreadPoolExecutor(threads),
            options=[
                ("grpc.so_reuseport", 0),
                *options,  # of two values for one option the first counts
                ("grpc.max_receive_message_length", -1),  # as TensorFlow Serving
            ],
            handlers=[self._methods()],
        )
        self.port = self._server.add_insecure_port(address)
        self._server.start()

    def _methods(self) -> Methods:
        return Methods(
            {
                PREDICT: (self.predict, tf.PredictRequest),
                GET_MODEL_METADATA: (self.get_model_metadata, tf.GetModelMetadataRequest),
                GET_MODEL_STATUS: (self.get_model_status, tf.GetModelStatusRequest),
            }
        )

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def reset(self) -> None:
        """Answer as at first: our model's signatures, and cricket."""
        self.signatures = sports_signatures()
        self.outputs: Outputs | None = None  # None: those for cricket
        self.version = 1
        self.names_version = True  # in Predict's answer; OpenVINO Model Server does not
        self.state = tf.ModelVersionStatus.AVAILABLE
        self.error: tuple[grpc.StatusCode, str] | None = None
        self.delay = 0.0  # seconds
        self.answering.set()

    def stop(self) -> None:
        self.answering.set()
        self._server.stop(grace=None).wait()

    def spec(self) -> tf.ModelSpec:
        return tf.ModelSpec(
            name="sport-classification-model", version=Int64Value(value=self.version)
        )

    def predict(
        self, request: tf.PredictRequest, context: grpc.ServicerContext
    ) -> tf.PredictResponse:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        time.sleep(self.delay)
        self.answering.wait()
        if self.error:
            context.abort(*self.error)
        [(name, sent)] = request.inputs.items()
        expected = self.signatures["serving_default"].inputs.get(name)
        if expected is None or sent.dtype != expected.dtype or _sizes(sent) != _sizes(expected):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "input does not match signature")
        outputs = self.outputs or sports_outputs(sent.tensor_shape.dim[0].size)
        if self.outputs is None and request.model_spec.signature_name == "explain":
            map_of_one = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8)
            outputs["heatmaps"] = map_of_one.repeat(sent.tensor_shape.dim[0].size, axis=0)
        return tf.PredictResponse(
            outputs={name: tensor(values) for name, values in outputs.items()},
            model_spec=self.spec() if self.names_version else None,
        )

    def get_model_metadata(
        self, _: object, context: grpc.ServicerContext
    ) -> tf.GetModelMetadataResponse:
        self.metadata_calls += 1
        if self.error:
            context.abort(*self.error)
        packed = any_pb2.Any()
        packed.Pack(tf.SignatureDefMap(signature_def=self.signatures))
        return tf.GetModelMetadataResponse(
            model_spec=self.spec(), metadata={"signature_def": packed}
        )

    def get_model_status(
        self, _: object, context: grpc.ServicerContext
    ) -> tf.GetModelStatusResponse:
        if self.error:
            context.abort(*self.error)
        status = tf.ModelVersionStatus(version=self.version, state=self.state)
        return tf.GetModelStatusResponse(model_version_status=[status])


def _sizes(described: tf.TensorProto | tf.TensorInfo) -> list[int]:
    """A tensor's shape, less the batch dimension."""
    return [dim.size for dim in described.tensor_shape.dim][1:]


if __name__ == "__main__":
    fake = FakeServing(sys.argv[1])
    fake.delay = float(sys.argv[2])
    fake.requests, fake.metadata = deque(maxlen=1), deque(maxlen=1)  # nobody reads them
    threading.Event().wait()
