"""Write a trained run as a SavedModel that TensorFlow Serving loads, into a staging folder.

    python trainer/export.py --run-folder runs/first --data FOLDER --version 4

promote.py compares it with the served version and moves it to where servers look. The
signatures are `serving_default` and `explain`; model/README.md describes them. Stops with an
error when the SavedModel and the Keras model disagree.
"""

import argparse
import shutil
import sys
from functools import partial
from pathlib import Path

import environment  # noqa: F401
import keras
import numpy as np
import run_folder
import tensorflow as tf
from calibration import calibrate, reliability
from data import DataError, LabelledImage, classes_of, held_out, load_batches, read_images
from disturbances import DISTURBANCES, disturb
from extra_assets import write_held_out, write_provenance, write_warm_up
from features import BATCH_SIZE
from half_precision import cast_to_float16
from network import SIZE, on_pixels
from scipy.special import expit, softmax
from servable import Servable, freeze

MODEL_NAME = "sport-classification-model"
ROOT = Path(__file__).resolve().parents[1]
SERVED = ROOT / "model" / MODEL_NAME
STAGING = ROOT / "runs" / "staged"
TOLERANCE = 1e-3  # of a probability
COMPARED = 32  # images


class ExportError(Exception):
    """The SavedModel cannot be written or is wrong; the destination is unchanged."""


def export(folder: Path, data: Path, destination: Path, version: int) -> Path:
    """Export a run.

    Args:
        folder: the run folder that train.py wrote.
        data: the images it was trained on; the held-out ones serve to calibrate and compare.
        destination: the folder in which the version's folder is created; not the served one.
        version: a positive number that does not exist yet.

    Returns:
        The version's folder.

    Raises:
        DataError, ExportError, FileNotFoundError
    """
    target = destination / str(version)
    if destination.resolve() == SERVED:
        raise ExportError(f"{destination} is served; promote.py moves a version there")
    if target.exists():
        raise ExportError(f"{target} exists already; a version is never changed")
    keras.config.set_dtype_policy("float32")
    run = run_folder.load(folder)
    images = held_out(read_images(data, folder / run_folder.MANIFEST))

    logits, classes = predict(run, images), classes_of(images, run.labels)
    calibration, reliable = calibrate(logits, classes), reliability(logits, classes)
    print(calibration, reliable, sep="\n")
    if reliable.warning:
        print(f"warning: {reliable.warning}", file=sys.stderr)
    unfinished = destination / f".{version}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    Servable(freeze(run), run.labels, calibration).save(str(unfinished))
    try:
        cast_to_float16(unfinished / "saved_model.pb")
    except ValueError as error:
        raise ExportError(str(error)) from error
    write_warm_up(unfinished, MODEL_NAME)
    write_provenance(unfinished, folder, calibration, reliable)
    probabilities = softmax(logits[0] / calibration.temperature, axis=1)
    write_held_out(unfinished, probabilities, expit(calibration.evidence(logits[0].max(1))))
    compare(unfinished, images[:COMPARED], probabilities[:COMPARED])
    unfinished.rename(target)
    return target


def predict(run: run_folder.Run, images: list[LabelledImage]) -> np.ndarray:
    """The Keras model's logits for images that are prepared as the gateway does.

    Returns:
        float32 [V, N, labels]: first of the images, then of each of the DISTURBANCES.
    """
    towers = {name: on_pixels(name, network) for name, network in run.towers.items()}
    views = [load_batches(images, SIZE, BATCH_SIZE)]
    views += [
        load_batches(images, SIZE, BATCH_SIZE, partial(disturb, name)) for name in DISTURBANCES
    ]
    logits = []
    for batches in views:
        features = [
            np.concatenate([tower.predict_on_batch(pixels) for tower in towers.values()], axis=1)
            for pixels in batches
        ]
        logits.append(np.concatenate(features) @ run.kernel + run.bias)
    return np.stack(logits)[:, :, : len(run.labels)]


def compare(folder: Path, images: list[LabelledImage], expected: np.ndarray) -> None:
    """Compare the SavedModel with the Keras model.

    Args:
        folder: the SavedModel.
        images: N images.
        expected: the Keras model's probabilities, float [N, classes].

    Raises:
        ExportError: a probability differs by more than TOLERANCE.
    """
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    batches = load_batches(images, SIZE, BATCH_SIZE)
    actual = np.concatenate([serve(images=tf.constant(b))["probabilities"] for b in batches])
    difference = float(abs(actual - expected).max())
    if not difference <= TOLERANCE:
        raise ExportError(f"the SavedModel differs by {difference:.5f} from the Keras model")
    print(f"the SavedModel differs by at most {difference:.6f} on {len(images)} images")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--run-folder", type=Path, required=True, help="what train.py wrote")
    add("--data", type=Path, required=True, help="a folder of images, see dataset/README.md")
    add("--destination", type=Path, default=STAGING, help="where to create the version's folder")
    add("--version", type=int, required=True, help="a number that was not used before")
    flags = parser.parse_args()
    try:
        print(export(flags.run_folder, flags.data, flags.destination, flags.version))
    except (DataError, ExportError, FileNotFoundError) as error:
        sys.exit(f"export.py: {error}")


if __name__ == "__main__":
    main()
