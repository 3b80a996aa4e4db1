"""Measure a model on images that it was not trained on.

    python trainer/evaluate.py --data FOLDER --manifest runs/first/manifest.csv \\
        --saved-model model/sport-classification-model/3 --others FOLDER --card model/README.md

A running service can be measured through its API instead (--server http://localhost:9696);
with both, their answers are compared. The numbers are written to the card, and three plots
beside it.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import environment  # noqa: F401
import plots
import requests
from data import DataError, LabelledImage, classes_of, held_out, labels_of, read_images
from disturbances import DISTURBANCES, disturb
from PIL import Image
from predictions import Predictions, agreement, predict_with_saved_model, predict_with_service
from report import report, write_card

from gateway.images import FORMATS


def contents(images: Iterable[LabelledImage]) -> list[bytes]:
    return [image.path.read_bytes() for image in images]


def image_files(folder: Path) -> list[Path]:
    """The files below a folder whose names end like those of the formats that the gateway reads."""
    formats = Image.registered_extensions()
    files = [file for file in folder.rglob("*") if formats.get(file.suffix.lower()) in FORMATS]
    return sorted(files)


def read_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="a folder in the Kaggle layout")
    add(
        "--manifest",
        type=Path,
        required=True,
        help="the run folder's; it lists the held-out images",
    )
    add("--saved-model", type=Path, help="the folder of a version")
    add("--server", help="a running service, as http://localhost:9696")
    add("--others", type=Path, help="a folder of images of other sports")
    add("--disturbed", action="store_true", help="also measure on images degraded in several ways")
    add("--card", type=Path, help="the model card to write to")
    add("--contact-sheet", type=Path, help="an image file to show the worst mistakes in")
    add("--json", type=Path, help="a file to write each image's probabilities to")
    flags = parser.parse_args()
    if not (flags.saved_model or flags.server):
        parser.error("--saved-model or --server is required")
    return flags


def evaluate(flags: argparse.Namespace) -> None:
    """Classify the held-out images, print the report and write the files that the flags name.

    Raises:
        DataError, OSError, requests.RequestException
    """
    images = held_out(read_images(flags.data, flags.manifest))
    labels = labels_of(images)
    classes = classes_of(images, labels)
    files = contents(images)

    def predict(files: Sequence[bytes], description: str) -> Predictions:
        if flags.saved_model:
            return predict_with_saved_model(flags.saved_model, files, description)
        return predict_with_service(flags.server, files)

    predictions = predict(files, "held out")
    if predictions.labels != labels:
        raise DataError(f"the model's labels are {predictions.labels}, the images' are {labels}")
    if flags.saved_model and flags.server:
        print(agreement(predict_with_service(flags.server, files), predictions))
    others = None
    if flags.others:
        others = predict([file.read_bytes() for file in image_files(flags.others)], "others")
    disturbed = {}
    if flags.disturbed:
        for name in DISTURBANCES:
            disturbed[name] = predict([disturb(name, file) for file in files], name)
    text = report(predictions, classes, others, disturbed)
    print(text)
    if flags.card:
        write_card(flags.card, text, predictions, classes, others)
    if flags.contact_sheet:
        plots.contact_sheet(flags.contact_sheet, images, labels, predictions.probabilities)
    if flags.json:
        rows = {
            image.path.name: dict(zip(labels, map(float, row), strict=True))
            for image, row in zip(images, predictions.probabilities, strict=True)
        }
        flags.json.write_text(json.dumps(rows, indent=1) + "\n")


def main() -> None:
    try:
        evaluate(read_flags())
    except (DataError, OSError, requests.RequestException) as error:
        sys.exit(f"evaluate.py: {error}")


if __name__ == "__main__":
    main()
