"""Fine-tune one tower, except its first layers, on the sports and on other sports, if given.

    python trainer/tune.py --tower efficientnet_lite2 --base-weights FILE --data FOLDER \\
        --manifest FILE --outliers FOLDER --steps 1300 --run-folder runs/lite2

Crops are changed at random and mixed, and the weights are averaged over the steps. The run
folder gets log.csv; every few steps the whole model, from which the same command resumes after
an interruption; and TOWER.weights.h5, which train.py and this script accept as base weights.
"""

import argparse
import csv
import json
import math
import sys
from pathlib import Path

import environment  # noqa: F401
import head
import keras
import numpy as np
import run_folder
from averaging import WeightAverage
from batches import AugmentedImages
from data import DataError
from features import BATCH_SIZE, extract
from material import Material, read_material
from network import SIZE, TOWERS, backbone, classifier, on_pixels, save_base_weights
from processor import use_precision

from gateway.images import resize

HEAD_C, HEAD_IMAGES = 1e-3, 20  # the first head's penalty, and images of each label
LEARNING_RATE = 1e-4
WEIGHT_DECAY = 0.02
WARM_UP_SHARE = 0.1  # of all steps
LABEL_SMOOTHING = 0.05
DROPOUT = 0.2
EVALUATED = 5  # checkpoints from one evaluation to the next
LOG, PROGRESS, TEACHER = "log.csv", "progress.json", "average.keras"


def read_flags(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--tower", choices=TOWERS, default="inception_v3", help="which network to train")
    add("--base-weights", default="imagenet", help="imagenet, or a file of the tower's weights")
    add("--data", type=Path, required=True, help="a folder of images, see dataset/README.md")
    add("--manifest", type=Path, help="the table that dataset/prepare.py wrote")
    add("--outliers", type=Path, nargs="+", default=[], help="folders of anything else")
    add("--leave-out", default="", help="labels to keep out of training, separated by commas")
    add("--teacher", type=Path, help="the run folder of a tower whose predictions to learn")
    add("--run-folder", type=Path, default=Path("runs/tuned"), help="where to write")
    add("--pixels", type=Path, default=Path("runs/pixels.npy"), help="keeps the decoded images")
    add("--steps", type=int, default=1300, help="batches in all")
    add("--checkpoint-steps", type=int, default=50, help="batches from a checkpoint to the next")
    add("--image-size", type=int, default=SIZE, help="height and width of the images, in pixels")
    add("--batch-size", type=int, default=32, help="images in a batch")
    add("--learning-rate", type=float, default=LEARNING_RATE, help="the highest one")
    add("--seed", type=int, default=1, help="repeats a run")
    add(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="what the layers compute in; auto: bfloat16 where it is faster",
    )
    return parser.parse_args(arguments)


def main() -> None:
    try:
        tune(read_flags())
    except (DataError, FileNotFoundError) as error:
        sys.exit(f"tune.py: {error}")


def tune(flags: argparse.Namespace) -> None:
    """Train on the images whose split is not "validation"; the others are for the log.

    Raises:
        DataError, FileNotFoundError: the files that the flags name cannot be used.
    """
    keras.utils.set_random_seed(flags.seed)
    flags.run_folder.mkdir(parents=True, exist_ok=True)
    left_out = flags.leave_out.split(",")
    material = read_material(flags.data, flags.manifest, flags.outliers, left_out, flags.pixels)
    print(f"precision: {use_precision(flags.precision, TOWERS[flags.tower].bfloat16)}")
    labels = material.labels
    teacher = load_teacher(flags.teacher, labels, flags.image_size) if flags.teacher else None
    done = steps_done(flags.run_folder)
    if done:
        print(f"resuming after step {done}")
        model = keras.models.load_model(model_file(flags.run_folder, done))
    else:
        model = build_model(flags, material)
    average = WeightAverage(model)
    if done:
        average.load(average_file(flags.run_folder, done))
    while done < flags.steps:
        seed_dropout(model, flags.seed, done)
        steps = min(flags.checkpoint_steps, flags.steps - done)
        batches = AugmentedImages(
            material.pixels[: len(material.images)],
            material.targets,
            material.chances,
            steps,
            flags.image_size,
            flags.batch_size,
            (flags.seed, done),
            teacher,
        )
        # Keras would shuffle with Python's generator, whose state is not saved.
        fitted = model.fit(batches, shuffle=False, callbacks=[average], verbose=0)
        done += steps
        row = {"step": done} | {name: values[-1] for name, values in fitted.history.items()}
        with average.in_model():
            if done == flags.steps or (done // flags.checkpoint_steps) % EVALUATED == 0:
                row["held_out"] = held_out_accuracy(flags.tower, model, material)
            save_average(flags, model)
        save_checkpoint(flags.run_folder, model, average, done, labels)
        write_row(flags.run_folder / LOG, row)


def steps_done(folder: Path) -> int:
    progress = folder / PROGRESS
    return int(json.loads(progress.read_text())["steps"]) if progress.is_file() else 0


def model_file(folder: Path, steps: int) -> Path:
    return folder / f"step{steps}.keras"


def average_file(folder: Path, steps: int) -> Path:
    return folder / f"step{steps}.npz"


def load_teacher(folder: Path, labels: list[str], image_size: int) -> keras.Model:
    """The averaged model of another run.

    Raises:
        DataError: it was tuned with other labels or another image size.
        FileNotFoundError: the folder has no model.
    """
    record = json.loads((folder / PROGRESS).read_text())
    model = keras.models.load_model(folder / TEACHER, compile=False)
    if record["labels"] != labels or model.input_shape[1] != image_size:
        raise DataError(f"{folder} was tuned with other labels or another --image-size")
    return model


def save_average(flags: argparse.Namespace, model: keras.Model) -> None:
    """Write the model as a teacher, and its tower."""
    model.save(flags.run_folder / TEACHER, include_optimizer=False)
    weights = run_folder.weights_file(flags.run_folder, flags.tower)
    save_base_weights(flags.tower, tower_of(model, flags.tower), weights)


def save_checkpoint(
    folder: Path, model: keras.Model, average: WeightAverage, done: int, labels: list[str]
) -> None:
    """Write what the next call of `tune` resumes from, and delete what is older."""
    before = steps_done(folder)
    model.save(model_file(folder, done))
    average.save(average_file(folder, done))
    (folder / PROGRESS).write_text(json.dumps({"steps": done, "labels": labels}))
    if before:
        model_file(folder, before).unlink()
        average_file(folder, before).unlink()


def build_model(flags: argparse.Namespace, material: Material) -> keras.Model:
    """A tower with a fitted head, compiled; the layers up to Tower.frozen are not trainable."""
    network = backbone(flags.tower, flags.base_weights)
    classes = material.classes[: len(material.images)]
    chosen = np.concatenate(
        [np.flatnonzero(classes == c)[:HEAD_IMAGES] for c in np.unique(classes)]
    )
    images = [material.images[i] for i in chosen]
    features = extract(flags.tower, network, images, mirrored=False)
    for layer in network.layers:
        layer.trainable = False
        if layer.name == TOWERS[flags.tower].frozen:
            break
    kernel, bias = head.fit(features[:, 0], classes[chosen], HEAD_C)
    model = classifier({flags.tower: network}, kernel, bias, flags.image_size, DROPOUT)
    warm_up = math.ceil(WARM_UP_SHARE * flags.steps)
    decay = max(1, flags.steps - warm_up)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, decay, warmup_target=flags.learning_rate, warmup_steps=warm_up
    )
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=WEIGHT_DECAY, global_clipnorm=1.0),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=LABEL_SMOOTHING),
        metrics=["accuracy"],
    )
    return model


def tower_of(model: keras.Model, tower: str) -> keras.Model:
    """The backbone in a model of `classifier`."""
    return model.get_layer(f"{tower}_on_pixels").get_layer(tower)


def held_out_accuracy(tower: str, model: keras.Model, material: Material) -> float:
    """The accuracy over the sports on the held-out images at the size of serving, or nan."""
    start = len(material.images)
    features, kernel = on_pixels(tower, tower_of(model, tower)), model.get_layer("head")
    kernel, bias = (weight[..., : material.sports] for weight in kernel.get_weights())
    correct = []
    for first in range(start, len(material.pixels), BATCH_SIZE):
        chosen = slice(first, first + BATCH_SIZE)
        images = np.stack([resize(image, (SIZE, SIZE)) for image in material.pixels[chosen]])
        logits = features.predict_on_batch(images) @ kernel + bias
        correct += (logits.argmax(1) == material.classes[chosen]).tolist()
    return float(np.mean(correct)) if correct else math.nan


def write_row(file: Path, row: dict[str, float]) -> None:
    """Append to the log; it shows what was measured with four decimals."""
    names = ["step", "accuracy", "loss", "held_out"]
    new = not file.is_file()
    with file.open("a", newline="") as out:
        table = csv.DictWriter(out, names)
        if new:
            table.writeheader()
        table.writerow({name: round(value, 4) for name, value in row.items()})
    print(row, flush=True)


def seed_dropout(model: keras.Model, seed: int, steps: int) -> None:
    """Set the dropout layers' random state after a number of steps; Keras does not save it."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.seed_generator.state.assign([seed, steps])


if __name__ == "__main__":
    main()
