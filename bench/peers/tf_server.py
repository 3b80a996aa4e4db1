"""Stands in for TensorFlow Serving, which no Python package holds: python tf_server.py PORT FOLDER

Computes the newest SavedModel of FOLDER with TensorFlow, in float32, a request at a time, on as
many threads as TensorFlow Serving has by default.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

THREADS = 4 * len(os.sched_getaffinity(0))  # tensorflow_serving/model_servers/server.h


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    def __init__(self, folder: Path) -> None:
        versions = [each for each in folder.iterdir() if each.name.isdecimal()]
        newest = max(versions, key=lambda version: int(version.name))
        self._model = tf.saved_model.load(str(newest))  # its variables live as long as it does
        self._infer = self._model.signatures["serving_default"]

    def Predict(
        self, request: predict_pb2.PredictRequest, _: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        outputs = self._infer(**{name: tf.constant(values) for name, values in inputs.items()})
        response = predict_pb2.PredictResponse()
        for name, values in outputs.items():
            array = values.numpy()
            message = response.outputs[name]
            message.dtype = tf.as_dtype(array.dtype).as_datatype_enum
            message.tensor_shape.CopyFrom(tf.TensorShape(array.shape).as_proto())
            message.float_val.extend(array.ravel())
        return response


if __name__ == "__main__":
    server = grpc.server(
        ThreadPoolExecutor(THREADS), options=[("grpc.max_receive_message_length", -1)]
    )
    service = PredictionService(Path(sys.argv[2]))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    server.wait_for_termination()
