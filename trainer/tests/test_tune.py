"""A small tower tuned on small images: in one go, with an interruption, and with a teacher."""

import argparse
import csv
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import run_folder
import tune
from conftest import TINY
from data import DataError, labels_of, read_images, write_manifest
from kaggle_folder import write_folder
from material import read_material
from network import backbone

pytestmark = pytest.mark.usefixtures("tiny")


@dataclass(frozen=True)
class Data:
    """Images, every third of them held out, and outliers with labels of their own."""

    folder: Path
    manifest: Path
    outliers: Path

    @property
    def labels(self) -> list[str]:
        return labels_of(read_images(self.folder)) + labels_of(read_images(self.outliers))


@pytest.fixture(scope="module")
def data(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Data:
    made = tmp_path_factory.mktemp("tune")
    outliers = write_folder(made / "others", ("chess", "golf"), images_per_label=3)
    images = [
        replace(image, split="train" if i % 3 else "validation")
        for i, image in enumerate(read_images(folder))
    ]
    write_manifest(made / "manifest.csv", images, folder)
    return Data(folder, made / "manifest.csv", outliers)


def flags(data: Data, folder: Path, steps: int, **others: object) -> argparse.Namespace:
    options = {
        "tower": TINY,
        "base-weights": "none",
        "data": data.folder,
        "manifest": data.manifest,
        "outliers": data.outliers,
        "run-folder": folder,
        "pixels": folder / "pixels.npy",
        "steps": steps,
        "checkpoint-steps": 2,
        "image-size": 48,
        "batch-size": 8,
        **others,
    }
    return tune.read_flags(
        [text for name, value in options.items() for text in (f"--{name}", str(value))]
    )


@pytest.fixture(scope="module")
def tuned(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of three steps; a copy of it after two is in `interrupted` beside it."""
    folder = tmp_path_factory.mktemp("tuned") / "done"
    save_checkpoint = tune.save_checkpoint

    def save_and_copy(*arguments: Any) -> None:
        save_checkpoint(*arguments)
        if tune.steps_done(folder) == 2:
            shutil.copytree(folder, folder.with_name("interrupted"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tune, "save_checkpoint", save_and_copy)
        tune.tune(flags(data, folder, 3))
    return folder


def weights(folder: Path) -> list[np.ndarray]:
    loaded: list[np.ndarray] = backbone(
        TINY, str(run_folder.weights_file(folder, TINY))
    ).get_weights()
    return loaded


def test_an_interrupted_run_ends_with_the_same_weights(data: Data, tuned: Path) -> None:
    interrupted = tuned.with_name("interrupted")
    assert tune.steps_done(interrupted) == 2
    tune.tune(flags(data, interrupted, 3))
    for actual, expected in zip(weights(interrupted), weights(tuned), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_files_of_a_run(tuned: Path) -> None:
    log = list(csv.DictReader((tuned / "log.csv").read_text().splitlines()))
    assert [row["step"] for row in log] == ["2", "3"]
    assert [row["held_out"] == "" for row in log] == [True, False]
    assert 0 <= float(log[1]["held_out"]) <= 1
    assert {file.name for file in tuned.iterdir()} == {
        *("average.keras", "log.csv", "pixels.npy", "pixels.sha256", "progress.json"),
        *("step3.keras", "step3.npz", f"{TINY}.weights.h5"),
    }


def test_the_weights_are_averages(tuned: Path) -> None:
    model = keras.models.load_model(tune.model_file(tuned, 3))
    last = np.asarray(tune.tower_of(model, TINY).get_layer("top").kernel)
    average = keras.models.load_model(tuned / tune.TEACHER, compile=False)
    kernel = np.asarray(tune.tower_of(average, TINY).get_layer("top").kernel)
    assert not np.allclose(kernel, last, atol=1e-7)
    written = backbone(TINY, str(run_folder.weights_file(tuned, TINY))).get_layer("top").kernel
    np.testing.assert_allclose(written, kernel, rtol=1e-3, atol=1e-5)  # float16


def test_the_held_out_accuracy_counts_the_sports_only(data: Data, tuned: Path) -> None:
    material = read_material(data.folder, data.manifest, [data.outliers], [], tuned / "pixels.npy")
    model = keras.models.load_model(tuned / tune.TEACHER, compile=False)
    head = model.get_layer("head")
    wanted = int(np.bincount(material.classes[len(material.images) :]).argmax())
    bias = np.zeros(5)
    bias[wanted], bias[4] = 1, 9  # the fifth label is another sport
    head.set_weights([np.zeros(head.kernel.shape), bias])
    expected = np.mean(material.classes[len(material.images) :] == wanted)
    assert tune.held_out_accuracy(TINY, model, material) == expected


def test_frozen_layers_do_not_change_and_the_others_do(tuned: Path) -> None:
    keras.utils.set_random_seed(1)
    before = backbone(TINY, "none")
    after = tune.tower_of(keras.models.load_model(tune.model_file(tuned, 3)), TINY)
    for name, unchanged in (("stem", True), ("depthwise", False), ("top", False)):
        actual, expected = after.get_layer(name).kernel, before.get_layer(name).kernel
        assert np.array_equal(actual, expected) is unchanged, name


def test_a_teacher_with_other_labels_or_size_is_an_error(data: Data, tuned: Path) -> None:
    labels = data.labels
    assert tune.load_teacher(tuned, labels, 48).output_shape == (None, 5)
    for bad_labels, size in ((labels[::-1], 48), (labels, 96)):
        with pytest.raises(DataError, match="other labels or another --image-size"):
            tune.load_teacher(tuned, bad_labels, size)


def test_tuning_with_a_teacher_in_bfloat16(data: Data, tuned: Path, tmp_path: Path) -> None:
    tune.tune(flags(data, tmp_path, 1, teacher=tuned, precision="bfloat16"))
    row = next(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert 0 <= float(row["held_out"]) <= 1
    top = tune.tower_of(keras.models.load_model(tune.model_file(tmp_path, 1)), TINY).get_layer(
        "top"
    )
    assert (top.compute_dtype, top.kernel.dtype) == ("bfloat16", "float32")
    assert all(np.isfinite(weight).all() for weight in weights(tmp_path))
