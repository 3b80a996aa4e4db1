"""Drawn things that are none of the sports: to train on, and to test with."""

from pathlib import Path

import draw_outliers
import openvino
from data import labels_of, read_images
from draw_unknown import draw_unknown

from gateway.images import preprocess
from gateway.signatures import IN_DOMAIN_BOUNDARY

SERVED = Path(__file__).parents[2] / "model" / "sport-classification-model"


def test_outliers_are_read_as_labels_of_their_own(tmp_path: Path) -> None:
    draw_outliers.write(tmp_path, 1)
    assert len(labels_of(read_images(tmp_path))) == len(draw_outliers.KINDS)


def test_the_served_model_does_not_know_most_drawn_things(tmp_path: Path) -> None:
    version = max(SERVED.iterdir(), key=lambda folder: int(folder.name))
    model = openvino.compile_model(openvino.Core().read_model(version / "model.xml"), "CPU")
    accepted = []
    for name, image in draw_unknown(variations=1).items():
        image.save(tmp_path / "drawing.png")
        pixels = preprocess((tmp_path / "drawing.png").read_bytes())
        if model(pixels[None])["in_domain"][0] >= IN_DOMAIN_BOUNDARY:
            accepted.append(name)
    assert len(accepted) <= 5, accepted
