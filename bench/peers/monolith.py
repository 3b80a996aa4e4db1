"""Flask and gunicorn with the model inside: one worker with threads, as each holds a model."""

from flask import Flask, Response, jsonify, request

from model import Model, fetch

model = Model()
app = Flask("monolith")


@app.post("/predict")
def predict() -> Response:
    image = fetch(request.get_json()["url"])
    return jsonify(model.labels(image[None])[0])
