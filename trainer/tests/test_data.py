import csv
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from data import (
    AugmentedPictures,
    DataError,
    Picture,
    chances_of,
    labels_of,
    load,
    read,
    read_outliers,
    split,
    write_manifest,
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


def test_outliers_but_some(folder: Path) -> None:
    assert read_outliers(None, []) == []
    left = read_outliers(folder, ["tennis", "karate"])
    assert labels_of(left) == sorted(set(SPORTS) - {"tennis", "karate"})
    assert read_outliers(folder, [""]) == read(folder)
    with pytest.raises(DataError, match="no label 'chess' to leave out"):
        read_outliers(folder, ["chess"])


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


def test_a_class_that_is_too_small_to_split() -> None:
    pictures = [Picture(Path(f"{i}"), "karate" if i < 3 else "tennis") for i in range(20)]
    with pytest.raises(DataError, match="karate has 3 pictures; 7 are needed"):
        split(pictures, np.eye(20), seed=1)


def test_a_class_that_is_all_one_series_is_split_all_the_same() -> None:
    pictures, features, _ = pictures_and_features(140)
    held_out = [p for p in split(pictures, features, 1) if p.split == "validation"]
    assert Counter(p.label for p in held_out) == {"karate": 20, "tennis": 20}


def test_a_manifest_is_read_as_it_was_written(folder: Path, tmp_path: Path) -> None:
    pictures = [
        Picture(p.path, p.label, "validation" if i % 3 else "train")
        for i, p in enumerate(read(folder))
    ]
    manifest = tmp_path / "made" / "manifest.csv"
    write_manifest(manifest, pictures, folder)
    assert read(folder, manifest) == pictures
    row = next(csv.DictReader(manifest.read_text().splitlines()))
    assert row["sha256"] == hashlib.sha256(pictures[0].path.read_bytes()).hexdigest()


def test_pictures_are_prepared_as_the_gateway_does(folder: Path) -> None:
    pictures = read(folder)
    batches = list(load(pictures, 50, batch_size=5))
    assert [len(batch) for batch in batches] == [5, 5, 4]
    expected = preprocess(pictures[6].path.read_bytes(), (50, 50))
    np.testing.assert_array_equal(batches[1][1], expected)


def augmented(folder: Path, seed: tuple[int, ...], teacher: object = None) -> AugmentedPictures:
    pictures = read(folder)
    chances = chances_of(pictures, [])
    return AugmentedPictures(pictures, labels_of(pictures), chances, 3, 40, 4, seed, teacher)


def test_augmented_batches(folder: Path) -> None:
    batches = augmented(folder, (2, 0))
    assert len(batches) == 3
    images, classes = batches[0]
    assert (images.shape, images.dtype) == ((4, 40, 40, 3), np.uint8)
    assert (classes.shape, classes.dtype) == ((4, 7), np.float32)
    assert (classes.sum(1) == 1).all()


def test_an_epoch_is_the_same_each_time_and_the_next_is_another(folder: Path) -> None:
    images, _ = augmented(folder, (2, 0))[1]
    np.testing.assert_array_equal(augmented(folder, (2, 0))[1][0], images)
    assert not np.array_equal(augmented(folder, (2, 1))[1][0], images)


def test_a_teacher_shares_its_view(folder: Path) -> None:
    class Teacher:
        def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
            return np.zeros((len(images), 7), np.float32)

    _, plain = augmented(folder, (2, 0))[0]
    _, taught = augmented(folder, (2, 0), Teacher())[0]
    np.testing.assert_allclose(taught, 0.3 * plain + 0.7 / 7, atol=1e-6)


def test_outliers_get_their_share_and_small_labels_more_than_theirs() -> None:
    pictures = [Picture(Path(f"{i}"), "large" if i < 80 else "small") for i in range(100)]
    outliers = [Picture(Path(f"{i}"), "other") for i in range(50)]
    chances = chances_of(pictures, outliers)
    assert chances.sum() == pytest.approx(1)
    assert chances[100:].sum() == pytest.approx(0.4)
    small = chances[80:100].sum() / chances[:100].sum()
    assert small == pytest.approx(20**0.7 / (20**0.7 + 80**0.7))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the pictures of ../shared are not here")
def test_the_real_pictures() -> None:
    pictures = read(SHARED / "sports7")
    assert len(pictures) == 3753
    assert labels_of(pictures) == sorted(SPORTS)
