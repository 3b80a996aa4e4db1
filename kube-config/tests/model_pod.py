"""A light model server for a pod: python model_pod.py OPTION=VALUE... It listens on port 8500.

It answers after DELAY, and refuses calls for which no thread is free, as TensorFlow Serving does.
It prints a line for each prediction and each refusal.
"""

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from gateway_testing.fake_serving import FakeServing

from tf_serving import api_pb2 as tf

DELAY = 0.4  # seconds, so that requests are in flight when the pod is killed
THREADS = 8  # TensorFlow Serving's default for two processors


class ModelPod(FakeServing):
    def __init__(self, options: tuple[tuple[str, int], ...]) -> None:
        self._free = threading.Semaphore(THREADS)
        super().__init__("0.0.0.0:8500", options, threads=8 * THREADS)
        self.delay = DELAY
        self.requests, self.metadata = deque(maxlen=1), deque(maxlen=1)  # nobody reads them

    @contextmanager
    def _thread(self, context: grpc.ServicerContext) -> Iterator[None]:
        if not self._free.acquire(blocking=False):
            os.write(1, b"refusal\n")
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no thread is free")
        try:
            yield
        finally:
            self._free.release()

    def predict(
        self, request: tf.PredictRequest, context: grpc.ServicerContext
    ) -> tf.PredictResponse:
        with self._thread(context):
            os.write(1, b"request\n")
            return super().predict(request, context)

    def get_model_metadata(
        self, request: object, context: grpc.ServicerContext
    ) -> tf.GetModelMetadataResponse:
        with self._thread(context):
            return super().get_model_metadata(request, context)

    def get_model_status(
        self, request: object, context: grpc.ServicerContext
    ) -> tf.GetModelStatusResponse:
        with self._thread(context):
            return super().get_model_status(request, context)


if __name__ == "__main__":
    options = [argument.split("=") for argument in sys.argv[1:]]
    pod = ModelPod(tuple((name, int(value)) for name, value in options))
    signal.pause()
