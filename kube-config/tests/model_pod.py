"""A light model server for a pod: python model_pod.py OPTION=VALUE... It listens on port 8500.

It prints a line for every request and answers after DELAY.
"""

import os
import signal
import sys

import grpc
from gateway_testing.fake_serving import FakeServing

from tf_serving import api_pb2 as tf

DELAY = 0.2  # seconds, so that requests are in flight when the pod is killed


class ModelPod(FakeServing):
    def predict(
        self, request: tf.PredictRequest, context: grpc.ServicerContext
    ) -> tf.PredictResponse:
        os.write(1, b"request\n")
        response = super().predict(request, context)
        self.requests.clear()
        self.metadata.clear()
        return response


if __name__ == "__main__":
    options = [argument.split("=") for argument in sys.argv[1:]]
    pod = ModelPod("0.0.0.0:8500", tuple((name, int(value)) for name, value in options))
    pod.delay = DELAY
    signal.pause()
