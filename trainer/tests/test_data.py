import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data import (
    DataError,
    LabelledImage,
    classes_of,
    held_out,
    image_files,
    labels_of,
    load_batches,
    read_images,
    read_outliers,
    write_manifest,
)
from draw_samples import SPORTS
from kaggle_folder import write_table

from gateway.images import preprocess

LABELS = ["karate", "soccer", "tennis"]
SHARED = Path(__file__).parents[3] / "shared"


def test_reads_the_kaggle_layout(folder: Path) -> None:
    images = read_images(folder)
    assert len(images) == 21
    assert labels_of(images) == LABELS
    assert all(image.path.is_file() for image in images)


def test_reads_a_folder_for_each_label(folder: Path, tmp_path: Path) -> None:
    images = read_images(folder)
    for image in images:
        copy = tmp_path / image.label.title() / image.path.name
        copy.parent.mkdir(exist_ok=True)
        copy.symlink_to(image.path)
    (tmp_path / "Tennis" / "notes.txt").touch()
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "image.jpg").touch()
    found = read_images(tmp_path)
    assert [(one.path.name, one.label) for one in found] == [
        (one.path.name, one.label) for one in images
    ]
    write_manifest(tmp_path / "manifest.csv", found, tmp_path)
    assert read_images(tmp_path, tmp_path / "manifest.csv") == found


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match=r"neither train\.csv nor a folder of images"):
        read_images(tmp_path)
    with pytest.raises(DataError, match=r"absent\.csv is missing"):
        read_images(tmp_path, tmp_path / "absent.csv")


def test_missing_column_is_an_error(tmp_path: Path) -> None:
    write_table(tmp_path, [("image_ID", "sport"), ("a.jpg", "Cricket")])
    with pytest.raises(DataError, match="no column 'label'"):
        read_images(tmp_path)


def test_missing_image_is_an_error(tmp_path: Path) -> None:
    write_table(tmp_path, [("image_ID", "label"), ("a.jpg", "Cricket")])
    with pytest.raises(DataError, match=r"a\.jpg is listed in train\.csv but is not in train/"):
        read_images(tmp_path)


def test_a_single_label_is_an_error(tmp_path: Path) -> None:
    write_table(tmp_path, [("image_ID", "label"), ("a.jpg", "Cricket")])
    (tmp_path / "train" / "a.jpg").touch()
    with pytest.raises(DataError, match="fewer than two labels"):
        read_images(tmp_path)


def test_outliers_without_the_excluded_labels(folder: Path) -> None:
    assert read_outliers([], []) == []
    assert labels_of(read_outliers([folder], ["tennis"])) == ["karate", "soccer"]
    assert read_outliers([folder, folder], [""]) == 2 * read_images(folder)
    with pytest.raises(DataError, match="no outlier has the label 'chess'"):
        read_outliers([folder], ["chess"])


def test_classes_are_indices_of_labels(folder: Path) -> None:
    classes = classes_of(read_images(folder), LABELS)
    np.testing.assert_array_equal(classes, np.repeat([0, 1, 2], 7))


def test_manifest_is_read_as_it_was_written(folder: Path, tmp_path: Path) -> None:
    images = [
        replace(image, split="validation" if i % 3 else "train")
        for i, image in enumerate(read_images(folder))
    ]
    manifest = tmp_path / "new" / "manifest.csv"
    write_manifest(manifest, images, folder)
    assert read_images(folder, manifest) == images
    assert len(held_out(images)) == 14
    row = next(csv.DictReader(manifest.read_text().splitlines()))
    assert row["sha256"] == hashlib.sha256(images[0].path.read_bytes()).hexdigest()


def test_images_are_prepared_as_in_the_gateway(folder: Path) -> None:
    images = read_images(folder)
    batches = list(load_batches(images, 50, batch_size=8))
    assert [len(batch) for batch in batches] == [8, 8, 5]
    expected = preprocess(images[9].path.read_bytes(), (50, 50))
    np.testing.assert_array_equal(batches[1][1], expected)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the images of ../shared are not available")
def test_reads_the_real_data_set() -> None:
    images: list[LabelledImage] = read_images(SHARED / "sports7")
    assert len(images) == 3753
    assert labels_of(images) == sorted(SPORTS)


def test_finds_image_files_of_all_formats_of_the_gateway(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("a.jpg", "b.JPEG", "folder/c.png", "d.webp", "e.tiff", "labels.csv"):
        (tmp_path / name).touch()
    assert [file.name for file in image_files(tmp_path)] == ["a.jpg", "b.JPEG", "d.webp", "c.png"]
