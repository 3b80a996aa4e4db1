from pathlib import Path

import numpy as np
import pytest
from data import DataError, read_images, write_manifest
from image_sets import read_image_sets


def test_sets_of_sports_and_of_other_sports(folder: Path, tmp_path: Path) -> None:
    held = [image.__class__(image.path, image.label, "validation") for image in read_images(folder)]
    write_manifest(tmp_path / "manifest.csv", held, folder)
    sets = read_image_sets(folder, tmp_path / "manifest.csv", [folder], [folder / "train"])
    assert [one.name for one in sets] == ["held out", folder.name, "train"]
    assert sets[2].classes is None
    for one in sets[:2]:
        np.testing.assert_array_equal(one.classes, np.repeat([0, 1, 2], 7))
        assert one.contents()[0] == one.files[0].read_bytes()


def test_unknown_labels_and_empty_folders_are_errors(folder: Path, tmp_path: Path) -> None:
    images = [
        image.__class__(image.path, image.label, "validation")
        for image in read_images(folder)
        if image.label != "karate"
    ]
    write_manifest(tmp_path / "manifest.csv", images, folder)
    with pytest.raises(DataError, match="karate is none of"):
        read_image_sets(folder, tmp_path / "manifest.csv", [folder], [])
    with pytest.raises(DataError, match="there is no image in"):
        read_image_sets(folder, tmp_path / "manifest.csv", [], [tmp_path])
