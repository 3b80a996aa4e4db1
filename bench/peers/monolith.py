"""Flask and gunicorn with the model inside: one worker, as each holds a model, with threads."""

from flask import Flask, jsonify, request

from model import Model, fetch

model = Model()
app = Flask("monolith")


@app.post("/predict")
def predict():
    image = fetch(request.get_json()["url"])
    return jsonify(model.labels(image[None])[0])
