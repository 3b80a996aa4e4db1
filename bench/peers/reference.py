"""Flask in front of TensorFlow Serving as most tutorials show it.

Flask's own server, keras-image-helper for the image, all of TensorFlow for one protobuf.
"""

import os
import sys

import grpc
import tensorflow as tf
from flask import Flask, Response, jsonify, request
from keras_image_helper import create_preprocessor
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

LABELS = ("badminton", "cricket", "karate", "soccer", "swimming", "tennis", "wrestling")

channel = grpc.insecure_channel(os.environ["TF_SERVING_HOST"])
stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
preprocessor = create_preprocessor("inception_v3", target_size=(299, 299))
app = Flask("gateway")


@app.post("/predict")
def predict() -> Response:
    pixels = preprocessor.from_url(request.get_json()["url"])
    message = predict_pb2.PredictRequest()
    message.model_spec.name = "sport-classification-model"
    message.model_spec.signature_name = "serving_default"
    message.inputs["images"].CopyFrom(tf.make_tensor_proto(pixels, shape=pixels.shape))
    answer = stub.Predict(message, timeout=60)
    scores = answer.outputs["output_0"].float_val
    return jsonify(max(zip(scores, LABELS, strict=True))[1])


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(sys.argv[1]))
