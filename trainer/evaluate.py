"""Measure a model on images that it was not trained on.

    python trainer/evaluate.py --data FOLDER --manifest runs/first/manifest.csv \\
        --saved-model model/sport-classification-model/4 --further FOLDER --others FOLDER \\
        --card model/README.md

A running service can be measured through its API instead (--server http://localhost:9696);
with both, their answers are compared. The numbers are written to the card, and three plots
beside it.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import environment  # noqa: F401
import plots
import requests
from data import DataError, LabelledImage
from disturbances import DISTURBANCES, disturb
from image_sets import ImageSet, read_image_sets
from predictions import Predictions, agreement, predict_with_saved_model, predict_with_service
from report import report, write_card
from summary import judge, summary


def read_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="a folder of images, see dataset/README.md")
    add("--manifest", type=Path, required=True, help="the run folder's: which are held out")
    add("--saved-model", type=Path, help="the folder of a version")
    add("--server", help="a running service, as http://localhost:9696")
    add("--further", type=Path, nargs="+", default=[], help="more folders of the same sports")
    add("--others", type=Path, nargs="+", default=[], help="folders of images of other sports")
    add("--disturbed", action="store_true", help="also measure on images degraded in several ways")
    add("--card", type=Path, help="the model card to write to")
    add("--contact-sheet", type=Path, help="an image file to show the worst mistakes in")
    add("--json", type=Path, help="a file to write each image's probabilities to")
    flags = parser.parse_args()
    if not (flags.saved_model or flags.server):
        parser.error("--saved-model or --server is required")
    return flags


def evaluate(flags: argparse.Namespace) -> None:
    """Classify all sets of images, print the report and write the files that the flags name.

    Raises:
        DataError, OSError, requests.RequestException
    """
    sets = read_image_sets(flags.data, flags.manifest, flags.further, flags.others)

    def predict(files: Sequence[bytes], description: str) -> Predictions:
        if flags.saved_model:
            return predict_with_saved_model(flags.saved_model, files, description)
        return predict_with_service(flags.server, files)

    judged = [judge(one, predict(one.contents(), one.name)) for one in sets]
    own, others = judged[0], next((one for one in judged if one.classes is None), None)
    assert own.classes is not None
    if flags.saved_model and flags.server:
        service = predict_with_service(flags.server, sets[0].contents())
        print(agreement(service, own.predictions))
    text = report(own.predictions, own.classes) + "\n\n" + summary(judged)
    if flags.disturbed:
        text += "\n\n" + summary(
            [
                judge(one, predict(disturbed(one, name), name), f"{one.name}, {name}")
                for one in sets
                for name in DISTURBANCES
                if one.classes is not None
            ]
        )
    print(text)
    if flags.card:
        against = others.predictions if others else None
        write_card(flags.card, text, own.predictions, own.classes, against)
    labels, probabilities = own.predictions.labels, own.predictions.probabilities
    if flags.contact_sheet:
        images = [
            LabelledImage(file, labels[number])
            for file, number in zip(sets[0].files, own.classes, strict=True)
        ]
        plots.contact_sheet(flags.contact_sheet, images, labels, probabilities)
    if flags.json:
        rows = {
            file.relative_to(flags.data).as_posix(): dict(zip(labels, map(float, row), strict=True))
            for file, row in zip(sets[0].files, probabilities, strict=True)
        }
        flags.json.write_text(json.dumps(rows, indent=1) + "\n")


def disturbed(images: ImageSet, name: str) -> list[bytes]:
    """The set's images, degraded."""
    return [disturb(name, file) for file in images.contents()]


def main() -> None:
    try:
        evaluate(read_flags())
    except (DataError, OSError, requests.RequestException) as error:
        sys.exit(f"evaluate.py: {error}")


if __name__ == "__main__":
    main()
