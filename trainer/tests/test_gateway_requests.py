"""What the gateway sends, as TensorFlow reads it."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from gateway.signatures import Signature
from gateway.tf_serving_client import TFServingClient

IMAGES = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)


class Recorder:
    """Takes the place of the channel to a model server."""

    def call(self, _: str, request: Any, response_type: Any, *__: Any) -> Any:
        self.sent = request.SerializeToString()
        return response_type()


@pytest.mark.parametrize("images", [IMAGES, IMAGES / np.float32(3)], ids=["uint8", "float32"])
def test_tensorflow_reads_the_images(images: np.ndarray) -> None:
    channel: Any = Recorder()
    signature = Signature(1, "images", str(images.dtype), (3, 4), "p", ("p",), (), explains=False)
    TFServingClient(channel, "m").infer(list(images), signature, 1.0, False, "")
    request = predict_pb2.PredictRequest.FromString(channel.sent)
    read = tf.make_ndarray(request.inputs["images"])
    assert read.dtype == images.dtype
    np.testing.assert_array_equal(read, images)
