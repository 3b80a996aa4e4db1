"""Labels are checked by what a network says that has not seen the images."""

import csv
from pathlib import Path

import clean
import numpy as np
import pytest
from conftest import TINY
from data import DataError, LabelledImage, read_images, write_manifest
from kaggle_folder import write_folder

LABELS = ("karate", "soccer", "tennis")


def separable(count: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Features of `count` images of each of three classes, around three points, and the classes."""
    classes = np.repeat(np.arange(3), count)
    noise = np.random.default_rng(1).normal(0, 0.1, (len(classes), 16))
    return (4 * np.eye(3, 16)[classes] + noise).astype(np.float32), classes


def labelled(classes: np.ndarray) -> list[LabelledImage]:
    return [
        LabelledImage(Path(f"{i}.jpg"), LABELS[number], "validation" if i % 7 == 0 else "train")
        for i, number in enumerate(classes)
    ]


def test_wrong_labels_are_found_and_only_those_for_training_dropped(tmp_path: Path) -> None:
    features, classes = separable()
    classes[[1, 7, 45]] = [2, 1, 0]  # the second one is held out
    images = labelled(classes)
    kept = clean.clean(images, features, 0.1, 1, tmp_path / "dropped.csv")
    assert [image.path.name for image in images if image not in kept] == ["1.jpg", "45.jpg"]
    rows = list(csv.DictReader((tmp_path / "dropped.csv").read_text().splitlines()))
    assert {(row["path"], row["label"], row["looks_like"], row["split"]) for row in rows} == {
        ("1.jpg", "tennis", "karate", "train"),
        ("7.jpg", "soccer", "karate", "validation"),
        ("45.jpg", "karate", "tennis", "train"),
    }
    own = [float(row["probability"]) for row in rows]
    assert own == sorted(own)
    assert all(float(row["its_probability"]) > float(row["probability"]) for row in rows)


def test_near_duplicates_with_the_same_wrong_label_do_not_confirm_each_other() -> None:
    features, classes = separable()
    features[3:9] = features[3]
    features[3:9, 8] += 0.3  # what these six share, and no other image has
    classes[3:9] = 2
    probabilities = clean.predict_unseen(features, classes, LABELS, 1.0, 1)
    assert clean.mislabelled(probabilities, classes)[3:9].all()


def test_an_image_is_listed_if_another_label_is_likely() -> None:
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7], [0.45, 0.55], [0.2, 0.8], [0.1, 0.9]])
    classes = np.array([0, 0, 0, 1, 1])  # mean probabilities of the labels: .55 and .85
    assert clean.mislabelled(probabilities, classes).tolist() == [False] * 5
    probabilities[1] = [0.1, 0.9]
    assert clean.mislabelled(probabilities, classes).tolist() == [False, True, False, False, False]


def test_a_label_with_too_few_images_is_an_error() -> None:
    features, classes = separable(count=4)
    with pytest.raises(DataError, match="karate has 4 images; at least 5 are needed"):
        clean.predict_unseen(features, classes, LABELS, 1e-2, 1)


@pytest.mark.usefixtures("tiny")
def test_the_command_writes_a_manifest_and_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "data", LABELS)
    images = read_images(folder)
    write_manifest(tmp_path / "all.csv", images, folder)
    monkeypatch.setattr(clean, "mislabelled", lambda _, classes: np.arange(len(classes)) == 2)
    files = {name: tmp_path / f"{name}.csv" for name in ("output", "dropped")}
    options = {"data": folder, "manifest": tmp_path / "all.csv", "tower": TINY, **files}
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    monkeypatch.setattr("sys.argv", ["clean.py", *arguments, "--base-weights", "none"])
    clean.main()
    assert read_images(folder, files["output"]) == [*images[:2], *images[3:]]
    [row] = csv.DictReader(files["dropped"].read_text().splitlines())
    assert row["path"] == f"train/{images[2].path.name}"
    assert "1 of 21 images dropped" in capsys.readouterr().out


def test_a_missing_manifest_ends_with_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = f"--data {tmp_path} --manifest {tmp_path}/a --output b --dropped c"
    monkeypatch.setattr("sys.argv", ["clean.py", *arguments.split()])
    with pytest.raises(SystemExit, match=r"^clean\.py: .*a is missing"):
        clean.main()
