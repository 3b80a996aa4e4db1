"""Train the classifier: first the head on the base network's features, then, if asked, all layers.

    python trainer/train.py --data FOLDER --base-weights imagenet --run-folder runs/first

FOLDER is in the Kaggle layout (data.py). The run folder receives features.npz, split.csv,
log.csv, model.weights.h5 and run.json; export.py and evaluate.py go on from there.
"""

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
from data import (
    AugmentedPictures,
    DataError,
    Picture,
    labels_of,
    load,
    read,
    split,
    write_split,
)
from network import build
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

SERVED_SIZE = 299
HEAD_C = 1e-3  # of the logistic regression on standardised features; best of five-fold CV
LEARNING_RATE = 1e-4
WEIGHT_DECAY = 0.02
WARM_UP_SHARE = 0.1  # of all steps
LABEL_SMOOTHING = 0.05
BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")


def read_flags(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, help="a folder in the Kaggle layout")
    add("--base-weights", default="imagenet", help="imagenet, or a file of InceptionV3's weights")
    add("--run-folder", type=Path, default=Path("runs/latest"))
    add("--epochs", type=int, default=0, help="of all layers, after the head (default: none)")
    add("--image-size", type=int, default=SERVED_SIZE)
    add("--batch-size", type=int, default=32)
    add("--seed", type=int, default=1)
    add("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    add("--smoke", action="store_true", help="do everything on 56 pictures that it draws itself")
    flags = parser.parse_args(arguments)
    if not flags.smoke and flags.data is None:
        parser.error("--data is missing (or --smoke)")
    return flags


def main() -> None:
    flags = read_flags()
    if flags.smoke:
        smoke(flags)
        return
    try:
        train(flags)
    except (DataError, FileNotFoundError) as error:
        sys.exit(f"train.py: {error}")


def smoke(flags: argparse.Namespace) -> None:
    """Draw pictures, train head and all layers on small ones, and export."""
    sys.path.append(str(Path(__file__).parents[1] / "dataset"))
    import export
    from draw_samples import write_dataset

    with tempfile.TemporaryDirectory() as folder:
        flags.data, flags.base_weights = Path(folder), None
        flags.epochs, flags.image_size, flags.batch_size = 1, 96, 8
        write_dataset(flags.data, pictures_per_label=8, seed=flags.seed)
        train(flags)
        export.export(flags.run_folder, flags.data, flags.run_folder / "exported", version=1)


def train(flags: argparse.Namespace) -> None:
    """Run the whole training.

    Raises:
        DataError, FileNotFoundError: what the flags name cannot be used.
    """
    keras.utils.set_random_seed(flags.seed)
    precision = choose_precision(flags.precision)
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    print(f"precision: {precision}")
    pictures = read(flags.data)
    labels = labels_of(pictures)
    model = build(len(labels), flags.base_weights)
    flags.run_folder.mkdir(parents=True, exist_ok=True)

    features = extract(model, pictures, flags)
    pictures = split(pictures, features[:, 0], flags.seed)
    write_split(flags.run_folder / "split.csv", pictures)
    held_out = np.array([picture.split == "validation" for picture in pictures])
    classes = np.array([labels.index(picture.label) for picture in pictures])
    kernel, bias = fit_head(features[~held_out], classes[~held_out])
    model.get_layer("head").set_weights([kernel, bias])
    head_accuracy = float(
        ((features[held_out, 0] @ kernel + bias).argmax(1) == classes[held_out]).mean()
    )
    print(f"validation accuracy of the head alone: {head_accuracy:.4f}")
    weights = flags.run_folder / "model.weights.h5"
    model.save_weights(weights)

    accuracy = head_accuracy
    if flags.epochs:
        accuracy = fine_tune(model, pictures, head_accuracy, weights, flags)
    summary = {
        "labels": labels,
        "base_weights": Path(flags.base_weights).name if flags.base_weights else "random",
        "epochs": flags.epochs,
        "image_size": flags.image_size,
        "seed": flags.seed,
        "precision": precision,
        "pictures": {"train": int((~held_out).sum()), "validation": int(held_out.sum())},
        "validation_accuracy": {"head": head_accuracy, "kept": accuracy},
    }
    (flags.run_folder / "run.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(f"validation accuracy of what is kept: {accuracy:.4f}")


def choose_precision(wanted: str, cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """bfloat16 where the processor has instructions for it; others emulate it, ten times slower."""
    if wanted != "auto":
        return wanted
    flags = cpuinfo.read_text() if cpuinfo.exists() else ""
    return "bfloat16" if any(flag in flags for flag in BFLOAT16_FLAGS) else "float32"


def extract(model: keras.Model, pictures: list[Picture], flags: argparse.Namespace) -> np.ndarray:
    """Pooled features of each picture and of its mirror image: float32 [N, 2, 2048].

    Kept in the run folder, and read from there when pictures and size are the same.
    """
    file = flags.run_folder / "features.npz"
    names = np.array([picture.path.name for picture in pictures])
    if file.exists():
        kept = np.load(file)
        same = int(kept["size"]) == flags.image_size and np.array_equal(kept["names"], names)
        if same and str(kept["base_weights"]) == str(flags.base_weights):
            return kept["features"]
    pooled = keras.Model(model.input, model.get_layer("head").input)
    progress = tqdm(total=len(pictures), desc="features", unit="picture")
    batches = []
    for images in load(pictures, flags.image_size, flags.batch_size):
        both = [pooled.predict_on_batch(side) for side in (images, images[:, :, ::-1])]
        batches.append(np.stack(both, axis=1).astype(np.float32))
        progress.update(len(images))
    progress.close()
    features = np.concatenate(batches)
    np.savez(
        file,
        features=features,
        names=names,
        size=flags.image_size,
        base_weights=str(flags.base_weights),
    )
    return features


def fit_head(features: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit a logistic regression on pictures and mirror images.

    Args:
        features: float32 [N, 2, F].
        classes: int [N].

    Returns:
        kernel float32 [F, C] and bias float32 [C] of a Dense layer on unscaled features.
    """
    flat = features.reshape(-1, features.shape[-1])
    mean, deviation = flat.mean(0), flat.std(0) + 1e-6
    regression = LogisticRegression(C=HEAD_C, max_iter=500)
    regression.fit((flat - mean) / deviation, np.repeat(classes, 2))
    coefficients, intercepts = regression.coef_, regression.intercept_
    if len(coefficients) == 1:  # two classes: scikit-learn keeps one row
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    kernel = (coefficients / deviation).T
    return kernel.astype(np.float32), (intercepts - mean @ kernel).astype(np.float32)


def fine_tune(
    model: keras.Model,
    pictures: list[Picture],
    head_accuracy: float,
    weights: Path,
    flags: argparse.Namespace,
) -> float:
    """Train all layers; keep the weights of the best epoch if it beats the head alone."""
    labels = labels_of(pictures)
    training = [picture for picture in pictures if picture.split == "train"]
    held_out = [picture for picture in pictures if picture.split == "validation"]
    batches = AugmentedPictures(training, flags.image_size, flags.batch_size, flags.seed)
    steps = flags.epochs * len(batches)
    warm_up = math.ceil(WARM_UP_SHARE * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warm_up, warmup_target=LEARNING_RATE, warmup_steps=warm_up
    )
    model.compile(
        keras.optimizers.AdamW(
            schedule, weight_decay=WEIGHT_DECAY, use_ema=True, ema_momentum=0.99
        ),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=LABEL_SMOOTHING),
        metrics=["accuracy"],
    )
    images = np.concatenate(list(load(held_out, flags.image_size, flags.batch_size)))
    classes = np.eye(len(labels), dtype=np.float32)[[labels.index(p.label) for p in held_out]]
    model.fit(
        batches,
        epochs=flags.epochs,
        validation_data=(images, classes),
        validation_batch_size=flags.batch_size,
        callbacks=[
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            keras.callbacks.ModelCheckpoint(
                weights,
                monitor="val_accuracy",
                save_best_only=True,
                save_weights_only=True,
                initial_value_threshold=head_accuracy,
            ),
            keras.callbacks.CSVLogger(flags.run_folder / "log.csv"),
        ],
    )
    model.load_weights(weights)
    logits = model.predict(images, batch_size=flags.batch_size, verbose=0)
    return float((logits.argmax(1) == classes.argmax(1)).mean())


if __name__ == "__main__":
    main()
