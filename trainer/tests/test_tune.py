"""One tower tuned on small drawn pictures: straight, with a break, and with a teacher."""

import argparse
import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import run_folder
import tune
from data import DataError, labels_of, read, write_manifest
from draw_samples import write_dataset
from network import backbone

TOWER = "efficientnet_lite2"


@dataclass(frozen=True)
class Data:
    """Pictures, every third of them held out, and outliers under labels of their own."""

    folder: Path
    manifest: Path
    outliers: Path

    @property
    def labels(self) -> list[str]:
        return labels_of(read(self.folder)) + labels_of(read(self.outliers))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    data = tmp_path_factory.mktemp("data")
    folder, outliers = data / "kaggle", data / "others"
    write_dataset(folder, pictures_per_label=3, seed=3)
    write_dataset(outliers, pictures_per_label=3, seed=9)
    pictures = read(folder)
    table = (outliers / "train.csv").read_text()
    for label in labels_of(pictures):
        table = table.replace(f",{label.title()}", f",not {label}")
    (outliers / "train.csv").write_text(table)
    marked = [
        replace(picture, split="train" if i % 3 else "validation")
        for i, picture in enumerate(pictures)
    ]
    write_manifest(data / "manifest.csv", marked, folder)
    return Data(folder, data / "manifest.csv", outliers)


def flags(data: Data, folder: Path, epochs: int, **others: object) -> argparse.Namespace:
    options = {
        "tower": TOWER,
        "base-weights": "none",
        "data": data.folder,
        "manifest": data.manifest,
        "outliers": data.outliers,
        "run-folder": folder,
        "epochs": epochs,
        "image-size": 48,
        "batch-size": 8,
        **others,
    }
    return tune.read_flags(
        [text for name, value in options.items() for text in (f"--{name}", str(value))]
    )


@pytest.fixture(scope="module")
def straight(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("straight")
    tune.tune(flags(data, folder, 2))
    return folder


def weights(folder: Path) -> list[np.ndarray]:
    return backbone(TOWER, str(run_folder.weights_file(folder, TOWER))).get_weights()


def test_a_run_that_was_interrupted_ends_as_one_that_was_not(
    data: Data, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = tune.keep

    def interrupted(*arguments: Any) -> None:
        keep(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tune, "keep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tune.tune(flags(data, tmp_path, 2))
    assert tune.epochs_done(tmp_path) == 1
    tune.tune(flags(data, tmp_path, 2))
    for given, expected in zip(weights(tmp_path), weights(straight), strict=True):
        np.testing.assert_array_equal(given, expected)


def test_what_a_run_leaves(straight: Path) -> None:
    log = list(csv.DictReader((straight / "log.csv").read_text().splitlines()))
    assert [row["epoch"] for row in log] == ["0", "1"]
    assert all(0 <= float(row["val_accuracy"]) <= 1 for row in log)
    assert list((straight / "tensorboard").rglob("events*"))
    assert [file.name for file in straight.glob("*.keras")] == ["epoch2.keras"]


def test_the_first_layers_stay_as_they_were_and_the_last_do_not(
    data: Data, straight: Path, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(1)
    before = backbone(TOWER, "none")
    model = keras.models.load_model(tune.model_file(straight, 2))
    after = model.get_layer(f"{TOWER}_on_pixels").get_layer(TOWER)
    for name, same in (("stem", True), ("block5_expand", True), ("top", False)):
        given, expected = after.get_layer(name).kernel, before.get_layer(name).kernel
        assert np.array_equal(given, expected) is same, name


def test_a_teacher_that_knows_other_labels(data: Data, straight: Path) -> None:
    labels = data.labels
    assert tune.load_teacher(straight, labels, 48).output_shape == (None, 14)
    for bad_labels, size in ((labels[::-1], 48), (labels, 96)):
        with pytest.raises(DataError, match="other labels or another --image-size"):
            tune.load_teacher(straight, bad_labels, size)


def test_learning_from_a_teacher(data: Data, straight: Path, tmp_path: Path) -> None:
    tune.tune(flags(data, tmp_path, 1, teacher=straight))
    row = next(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert 0 <= float(row["val_accuracy"]) <= 1
