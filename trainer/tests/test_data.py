import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from data import (
    AugmentedPictures,
    DataError,
    Picture,
    labels_of,
    load,
    read,
    read_split,
    split,
    write_split,
)
from draw_samples import SPORTS, write_dataset

from gateway.images import preprocess

SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "kaggle"
    write_dataset(folder, pictures_per_label=2, seed=3)
    return folder


def write_table(folder: Path, *rows: tuple[str, ...]) -> Path:
    (folder / "train").mkdir()
    with (folder / "train.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def test_the_kaggle_layout(folder: Path) -> None:
    pictures = read(folder)
    assert len(pictures) == 14
    assert labels_of(pictures) == sorted(SPORTS)
    assert all(picture.path.is_file() for picture in pictures)


def test_a_folder_without_its_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.csv is missing"):
        read(tmp_path)


def test_a_table_without_a_column(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'label'"):
        read(write_table(tmp_path, ("image_ID", "sport"), ("a.jpg", "Cricket")))


def test_a_picture_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.jpg is in train\.csv and not in train/"):
        read(write_table(tmp_path, ("image_ID", "label"), ("a.jpg", "Cricket")))


def test_one_label_is_too_few(tmp_path: Path) -> None:
    write_table(tmp_path, ("image_ID", "label"), ("a.jpg", "Cricket"))
    (tmp_path / "train" / "a.jpg").touch()
    with pytest.raises(DataError, match="fewer than two labels"):
        read(tmp_path)


def pictures_and_features(series_length: int) -> tuple[list[Picture], np.ndarray, np.ndarray]:
    """Two classes of 140, each in series of pictures that are almost alike."""
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(280 // series_length, 64))
    series = np.repeat(np.arange(len(centres)), series_length)
    features = centres[series] + 0.01 * rng.normal(size=(280, 64))
    labels = ["karate"] * 140 + ["tennis"] * 140
    return [Picture(Path(f"{i}.jpg"), label) for i, label in enumerate(labels)], features, series


def test_no_series_stands_on_both_sides() -> None:
    pictures, features, series = pictures_and_features(4)
    splits = split(pictures, features, seed=1)
    for number in set(series):
        assert len({splits[i].split for i in np.flatnonzero(series == number)}) == 1


def test_each_class_is_held_out_alike_and_the_seed_decides() -> None:
    pictures, features, _ = pictures_and_features(4)
    held_out = [p for p in split(pictures, features, 1) if p.split == "validation"]
    assert Counter(p.label for p in held_out) == {"karate": 20, "tennis": 20}
    assert split(pictures, features, 1) == split(pictures, features, 1)
    assert split(pictures, features, 1) != split(pictures, features, 2)


def test_a_class_that_is_all_one_series_is_split_all_the_same() -> None:
    pictures, features, _ = pictures_and_features(140)
    held_out = [p for p in split(pictures, features, 1) if p.split == "validation"]
    assert Counter(p.label for p in held_out) == {"karate": 20, "tennis": 20}


def test_a_split_is_read_as_it_was_written(folder: Path, tmp_path: Path) -> None:
    pictures = [
        Picture(p.path, p.label, "validation" if i % 3 else "train")
        for i, p in enumerate(read(folder))
    ]
    write_split(tmp_path / "split.csv", pictures)
    assert read_split(tmp_path / "split.csv", folder) == pictures


def test_pictures_are_prepared_as_the_gateway_does(folder: Path) -> None:
    pictures = read(folder)
    batches = list(load(pictures, 50, batch_size=5))
    assert [len(batch) for batch in batches] == [5, 5, 4]
    expected = preprocess(pictures[6].path.read_bytes(), (50, 50))
    np.testing.assert_array_equal(batches[1][1], expected)


def test_augmented_batches(folder: Path) -> None:
    batches = AugmentedPictures(read(folder), size=40, batch_size=4, seed=2)
    assert len(batches) == 3
    images, classes = batches[0]
    assert (images.shape, images.dtype) == ((4, 40, 40, 3), np.uint8)
    assert (classes.shape, classes.dtype) == ((4, 7), np.float32)
    assert (classes.sum(1) == 1).all()
    np.testing.assert_array_equal(batches[0][0], images)
    batches.on_epoch_end()
    assert not np.array_equal(batches[0][0], images)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the pictures of ../shared are not here")
def test_the_real_pictures() -> None:
    pictures = read(SHARED / "sports7")
    assert len(pictures) == 3753
    assert labels_of(pictures) == sorted(SPORTS)
