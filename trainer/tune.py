"""Fine-tune one tower, except its first layers, on the sports and on other sports, if given.

    python trainer/tune.py --tower efficientnet_lite2 --base-weights FILE --data FOLDER \\
        --manifest FILE --outliers FOLDER --epochs 8 --run-folder runs/lite2

log.csv and TensorBoard's files are written to the run folder; after each epoch the whole model,
from which the same command resumes after an interruption; and TOWER.weights.h5, which train.py
and this script accept as base weights.
"""

import argparse
import json
import math
import sys
from pathlib import Path

import head
import keras
import numpy as np
import run_folder
from augmentation import AugmentedImages, chances_of
from data import (
    DataError,
    LabelledImage,
    classes_of,
    held_out,
    labels_of,
    load_batches,
    read_images,
    read_outliers,
)
from features import BATCH_SIZE, extract
from network import SIZE, TOWERS, backbone, classifier, save_base_weights
from processor import use_precision

HEAD_C = 1e-3
LEARNING_RATE = 1e-4
WEIGHT_DECAY = 0.02
WARM_UP_SHARE = 0.1  # of all steps
LABEL_SMOOTHING = 0.1
DROPOUT = 0.2
PROGRESS = "progress.json"


def read_flags(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--tower", choices=TOWERS, default="inception_v3")
    add("--base-weights", default="imagenet", help="imagenet, or a file of the tower's weights")
    add("--data", type=Path, required=True, help="a folder in the Kaggle layout")
    add("--manifest", type=Path, help="the table that dataset/prepare.py wrote")
    add("--outliers", type=Path, help="a folder of other sports, in the Kaggle layout")
    add("--leave-out", default="", help="labels to keep out of training, separated by commas")
    add("--teacher", type=Path, help="the run folder of a tower whose predictions to learn")
    add("--run-folder", type=Path, default=Path("runs/tuned"))
    add("--epochs", type=int, default=8)
    add("--image-size", type=int, default=SIZE)
    add("--batch-size", type=int, default=32)
    add("--learning-rate", type=float, default=LEARNING_RATE)
    add("--seed", type=int, default=1)
    add("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    return parser.parse_args(arguments)


def main() -> None:
    try:
        tune(read_flags())
    except (DataError, FileNotFoundError) as error:
        sys.exit(f"tune.py: {error}")


def tune(flags: argparse.Namespace) -> None:
    """Train on the images whose split is not "validation"; the others are for the log.

    Outliers keep their own labels: distinguishing them teaches the tower more about sports
    than a single label for all of them would.

    Raises:
        DataError, FileNotFoundError: the files that the flags name cannot be used.
    """
    keras.utils.set_random_seed(flags.seed)
    flags.run_folder.mkdir(parents=True, exist_ok=True)
    images = read_images(flags.data, flags.manifest)
    outliers = read_outliers(flags.outliers, flags.leave_out.split(","))
    print(f"precision: {use_precision(flags.precision, TOWERS[flags.tower].bfloat16)}")
    validation = held_out(images)
    images = [image for image in images if image.split != "validation"]
    labels = labels_of(images) + labels_of(outliers)
    chances = chances_of(images, outliers)
    share = float(chances[: len(images)].sum())  # of a batch that is not outliers
    steps = max(1, round(len(images) / share / flags.batch_size))

    teacher = load_teacher(flags.teacher, labels, flags.image_size) if flags.teacher else None
    first = epochs_done(flags.run_folder)
    if first:
        print(f"resuming after epoch {first}")
        model = keras.models.load_model(model_file(flags.run_folder, first))
    else:
        model = build_model(flags, images + outliers, labels, steps)
    validation_batch = load_all(validation, labels, flags.image_size) if validation else None
    for epoch in range(first, flags.epochs):
        seed_dropout(model, flags.seed, epoch * steps)
        model.fit(
            AugmentedImages(
                images + outliers,
                labels,
                chances,
                steps,
                flags.image_size,
                flags.batch_size,
                (flags.seed, epoch),
                teacher,
            ),
            shuffle=False,  # Keras would use Python's generator, whose state is not saved
            initial_epoch=epoch,
            epochs=epoch + 1,
            validation_data=validation_batch,
            validation_batch_size=flags.batch_size,
            callbacks=callbacks(flags, epoch),
        )
        save_checkpoint(flags, model, epoch + 1, labels)


def epochs_done(folder: Path) -> int:
    progress = folder / PROGRESS
    return int(json.loads(progress.read_text())["epochs"]) if progress.is_file() else 0


def model_file(folder: Path, epochs: int) -> Path:
    return folder / f"epoch{epochs}.keras"


def load_teacher(folder: Path, labels: list[str], image_size: int) -> keras.Model:
    """The model of another run.

    Raises:
        DataError: it was tuned with other labels or another image size.
        FileNotFoundError: the folder has no model.
    """
    record = json.loads((folder / PROGRESS).read_text())
    model = keras.models.load_model(model_file(folder, record["epochs"]), compile=False)
    if record["labels"] != labels or model.input_shape[1] != image_size:
        raise DataError(f"{folder} was tuned with other labels or another --image-size")
    return model


def save_checkpoint(
    flags: argparse.Namespace, model: keras.Model, epochs: int, labels: list[str]
) -> None:
    """Write the model to resume from, and the tower's weights."""
    model.save(model_file(flags.run_folder, epochs))
    (flags.run_folder / PROGRESS).write_text(json.dumps({"epochs": epochs, "labels": labels}))
    model_file(flags.run_folder, epochs - 1).unlink(missing_ok=True)
    network = model.get_layer(f"{flags.tower}_on_pixels").get_layer(flags.tower)
    weights = run_folder.weights_file(flags.run_folder, flags.tower)
    save_base_weights(flags.tower, network, weights)


def build_model(
    flags: argparse.Namespace, images: list[LabelledImage], labels: list[str], steps: int
) -> keras.Model:
    """A tower with a fitted head, compiled; the layers up to Tower.frozen are not trainable."""
    network = backbone(flags.tower, flags.base_weights)
    file = flags.run_folder / "features.npz"
    features = extract(flags.tower, network, images, file, mirrored=False)
    for layer in network.layers:
        layer.trainable = False
        if layer.name == TOWERS[flags.tower].frozen:
            break
    kernel, bias = head.fit(features[:, 0], classes_of(images, labels), HEAD_C)
    model = classifier({flags.tower: network}, kernel, bias, flags.image_size, DROPOUT)
    total = flags.epochs * steps
    warm_up = math.ceil(WARM_UP_SHARE * total)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, total - warm_up, warmup_target=flags.learning_rate, warmup_steps=warm_up
    )
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=WEIGHT_DECAY, global_clipnorm=1.0),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=LABEL_SMOOTHING),
        metrics=["accuracy"],
    )
    return model


def seed_dropout(model: keras.Model, seed: int, steps: int) -> None:
    """Set the dropout layers' random state after a number of steps; Keras does not save it."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.seed_generator.state.assign([seed, steps])


def load_all(
    images: list[LabelledImage], labels: list[str], size: int
) -> tuple[np.ndarray, np.ndarray]:
    """All images and their classes: uint8 [N, size, size, 3], one-hot float32 [N, C]."""
    pixels = np.concatenate(list(load_batches(images, size, BATCH_SIZE)))
    return pixels, np.eye(len(labels), dtype=np.float32)[classes_of(images, labels)]


def callbacks(flags: argparse.Namespace, epoch: int) -> list[keras.callbacks.Callback]:
    log = keras.callbacks.CSVLogger(flags.run_folder / "log.csv", append=epoch > 0)
    if keras.backend.backend() != "tensorflow":  # Keras writes TensorBoard's files through it
        return [log]
    return [log, keras.callbacks.TensorBoard(flags.run_folder / "tensorboard", write_graph=False)]


if __name__ == "__main__":
    main()
