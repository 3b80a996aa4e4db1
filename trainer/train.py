"""Fit the classifier's head on the features that one or two towers compute.

    python trainer/train.py --data FOLDER --manifest FILE --outliers FOLDER \\
        --base-weights inception_v3=FILE efficientnet_lite2=FILE --run-folder runs/first

tune.py makes better base weights. The towers' weights, their features, head.npz,
manifest.csv and run.json are written to the run folder, which export.py and evaluate.py read.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import environment  # noqa: F401
import head
import keras
import numpy as np
import run_folder
from data import (
    DataError,
    LabelledImage,
    classes_of,
    labels_of,
    read_images,
    read_outliers,
    write_manifest,
)
from features import extract
from network import TOWERS, backbone, save_base_weights
from processor import use_precision
from splits import FOLDS, split

HEAD_C = 3e-3  # inverse strength of the L2 penalty
SMOKE_LABELS = ("badminton", "swimming", "wrestling")
SMOKE_TOWER = "efficientnet_lite2"


def read_flags(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, help="a folder of images, see dataset/README.md")
    add("--manifest", type=Path, help="the table that dataset/prepare.py wrote")
    add("--outliers", type=Path, nargs="+", default=[], help="folders of anything else")
    add("--leave-out", default="", help="labels to keep out of training, separated by commas")
    add(
        "--base-weights",
        nargs="+",
        default=["inception_v3=imagenet"],
        metavar="TOWER=WEIGHTS",
        help=f"towers ({', '.join(TOWERS)}), each with imagenet or a file of weights",
    )
    add("--run-folder", type=Path, default=Path("runs/latest"), help="where to write")
    add("--head-c", type=float, default=HEAD_C, help="inverse strength of the L2 penalty")
    add("--seed", type=int, default=1, help="repeats a run")
    add(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="what the layers compute in; auto: bfloat16 where it is faster",
    )
    add("--smoke", action="store_true", help="run all steps on a few images drawn for it")
    flags = parser.parse_args(arguments)
    if not flags.smoke and flags.data is None:
        parser.error("--data is required (or --smoke)")
    return flags


def main() -> None:
    flags = read_flags()
    try:
        if flags.smoke:
            smoke(flags)
        else:
            train(flags)
    except (DataError, FileNotFoundError) as error:
        sys.exit(f"train.py: {error}")


def smoke(flags: argparse.Namespace) -> None:
    """Run all steps on a few drawn images: tune a tower, fit the head on both, and export."""
    import export
    import tune
    from draw_samples import write_dataset

    with tempfile.TemporaryDirectory() as folder:
        flags.data = Path(folder)
        write_dataset(flags.data, FOLDS, flags.seed, SMOKE_LABELS)
        tuned = flags.run_folder / SMOKE_TOWER
        options = f"--tower {SMOKE_TOWER} --base-weights none --data {folder} --steps 2"
        options += (
            f" --pixels {folder}/pixels.npy --image-size 96 --batch-size 8 --run-folder {tuned}"
        )
        tune.tune(tune.read_flags(options.split()))
        weights = dict.fromkeys(TOWERS, "none")
        weights[SMOKE_TOWER] = str(run_folder.weights_file(tuned, SMOKE_TOWER))
        flags.base_weights = [f"{tower}={file}" for tower, file in weights.items()]
        train(flags)
        export.export(flags.run_folder, flags.data, flags.run_folder / "exported", version=1)


def train(flags: argparse.Namespace) -> None:
    """Extract features, fit the head on images and their mirror images, and write the run.

    Raises:
        DataError, FileNotFoundError: the files that the flags name cannot be used.
    """
    keras.utils.set_random_seed(flags.seed)
    images = read_images(flags.data, flags.manifest)
    outliers = read_outliers(flags.outliers, flags.leave_out.split(","))
    flags.run_folder.mkdir(parents=True, exist_ok=True)

    towers, features, outlier_features = extract_features(flags, images, outliers)
    if not any(image.split for image in images):
        images = split(images, features[0][:, 0], flags.seed)
    write_manifest(flags.run_folder / run_folder.MANIFEST, images, flags.data)

    labels, outlier_labels = labels_of(images), labels_of(outliers)
    validation = np.array([image.split == "validation" for image in images])
    classes = classes_of(images, labels)
    joined = np.concatenate(features, axis=2)
    views = [*joined[~validation].swapaxes(0, 1)]
    view_classes = [classes[~validation]] * len(views)
    if outliers:
        views.append(np.concatenate(outlier_features, axis=2)[:, 0])
        view_classes.append(len(labels) + classes_of(outliers, outlier_labels))
    kernel, bias = head.fit(np.concatenate(views), np.concatenate(view_classes), flags.head_c)
    logits = (joined[validation, 0] @ kernel + bias)[:, : len(labels)]
    accuracy = (logits.argmax(1) == classes[validation]).mean()
    print(f"validation accuracy: {accuracy:.4f} of {len(logits)} images")
    run_folder.save(
        flags.run_folder,
        run_folder.Run(labels, outlier_labels, towers, kernel, bias),
        {
            "base_weights": {n: Path(w).name for n, w in towers_of(flags.base_weights)},
            "head_c": flags.head_c,
            "seed": flags.seed,
            "images": {
                "train": int((~validation).sum()),
                "validation": len(logits),
                "outliers": len(outliers),
            },
            "validation_accuracy": float(accuracy),
        },
    )


def extract_features(
    flags: argparse.Namespace, images: list[LabelledImage], outliers: list[LabelledImage]
) -> tuple[dict[str, keras.Model], list[np.ndarray], list[np.ndarray]]:
    """Write each tower's weights and compute its features of all images.

    Returns:
        The towers, and for each one the features of images and mirror images, float32
        [N, 2, F], and of the outliers, [M, 1, F], if there are any.
    """
    towers, features, outlier_features = {}, [], []
    for name, weights in towers_of(flags.base_weights):
        print(f"precision of {name}: {use_precision(flags.precision, TOWERS[name].bfloat16)}")
        file = run_folder.weights_file(flags.run_folder, name)
        save_base_weights(name, backbone(name, weights), file)
        towers[name] = network = backbone(name, str(file))
        features.append(extract(name, network, images, file.with_suffix(".npz")))
        if outliers:
            file = file.with_suffix(".outliers.npz")
            outlier_features.append(extract(name, network, outliers, file, mirrored=False))
    return towers, features, outlier_features


def towers_of(base_weights: Sequence[str]) -> list[tuple[str, str]]:
    """Split TOWER=WEIGHTS.

    Raises:
        DataError: the tower is unknown.
    """
    towers = []
    for text in base_weights:
        name, _, weights = text.partition("=")
        if name not in TOWERS or not weights:
            raise DataError(f"{text} is not TOWER=WEIGHTS with one of {', '.join(TOWERS)}")
        towers.append((name, weights))
    return towers


if __name__ == "__main__":
    main()
