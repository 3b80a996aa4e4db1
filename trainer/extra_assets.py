"""The files in a SavedModel's `assets.extra` folder."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import numpy as np
import run_folder
import tensorflow as tf
from calibration import Calibration, Reliability
from network import SIZE
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from gateway.metrics import SHARES

FOLDER = "assets.extra"
WARM_UP_BATCH_SIZES = (1, 2, 4, 8, 16)
RECORDED_PACKAGES = ("tensorflow", "keras", "numpy", "scikit-learn", "pillow")


def write_provenance(
    version: Path, folder: Path, calibration: Calibration, reliability: Reliability
) -> None:
    """Record which run the version was exported from, its calibration and package versions."""
    provenance = {
        "run": json.loads((folder / "run.json").read_text()),
        "manifest_sha256": hashlib.sha256((folder / run_folder.MANIFEST).read_bytes()).hexdigest(),
        "calibration": asdict(calibration),
        "reliability": asdict(reliability),
        "versions": {name: metadata.version(name) for name in RECORDED_PACKAGES},
    }
    file = version / FOLDER / "provenance.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(provenance, indent=2) + "\n")


def write_held_out(version: Path, probabilities: np.ndarray, in_domain: np.ndarray) -> None:
    """Record how sure the version is of the held-out images, which monitoring/alerts.yaml repeats.

    Each count is of the images up to a bound, as in the gateway's histograms.

    Args:
        probabilities: float [N, labels].
        in_domain: float [N].
    """

    def counts(values: np.ndarray) -> dict[str, int]:
        return {str(float(bound)): int((values <= bound).sum()) for bound in SHARES}

    held_out = {
        "images": len(in_domain),
        "probability": counts(probabilities.max(1)),
        "in_domain": counts(in_domain),
    }
    file = version / FOLDER / "held_out.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(held_out, indent=2) + "\n")


def write_warm_up(version: Path, model_name: str) -> None:
    """Write the requests that TensorFlow Serving replays when it loads the version."""
    file = version / FOLDER / "tf_serving_warmup_requests"
    file.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as records:
        for request in _warm_up_requests(model_name):
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            records.write(log.SerializeToString())


def _warm_up_requests(model_name: str) -> Iterable[predict_pb2.PredictRequest]:
    batches = [("serving_default", size) for size in WARM_UP_BATCH_SIZES] + [("explain", 1)]
    for signature_name, size in batches:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = model_name
        request.model_spec.signature_name = signature_name
        tensor = request.inputs["images"]
        tensor.dtype = tf.uint8.as_datatype_enum
        tensor.tensor_shape.CopyFrom(tf.TensorShape([size, SIZE, SIZE, 3]).as_proto())
        tensor.int_val.append(128)  # TensorFlow repeats the last value
        yield request
