"""A light model server for a pod of its own: python model_pod.py OPTION=VALUE, on port 8500.

It prints the time, on time.monotonic's clock, of every picture that it is asked about.
"""

import os
import signal
import sys
import time

import grpc
from fake_serving import FakeServing

from gateway import tf_serving_pb2 as tf


class ModelPod(FakeServing):
    def predict(
        self, request: tf.PredictRequest, context: grpc.ServicerContext
    ) -> tf.PredictResponse:
        os.write(1, f"{time.monotonic()}\n".encode())  # in one piece, whatever the other threads do
        response = super().predict(request, context)
        self.requests.clear()
        self.metadata.clear()
        return response


if __name__ == "__main__":
    options = [option.split("=") for option in sys.argv[1:]]
    pod = ModelPod("0.0.0.0:8500", tuple((name, int(value)) for name, value in options))
    signal.pause()
