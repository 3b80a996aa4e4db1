"""Fit the classifier's head on what one or two towers make of the pictures.

    python trainer/train.py --data FOLDER --manifest FILE --outliers FOLDER \\
        --base-weights inception_v3=FILE efficientnet_lite2=FILE --run-folder runs/first

tune.py makes better base weights. The run folder receives the towers' weights, their
features, head.npz, manifest.csv and run.json; export.py and evaluate.py go on from there.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import head
import keras
import numpy as np
import run_folder
from data import DataError, Picture, labels_of, read, read_outliers, split, write_manifest
from features import extract
from network import TOWERS, backbone, save_base_weights
from processor import use_precision

HEAD_C = 3e-3  # inverse strength of the L2 penalty


def read_flags(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, help="a folder in the Kaggle layout")
    add("--manifest", type=Path, help="what dataset/prepare.py wrote about it")
    add("--outliers", type=Path, help="a folder in the Kaggle layout that holds other sports")
    add("--leave-out", default="", help="those of them, by commas, that are kept to judge by")
    add(
        "--base-weights",
        nargs="+",
        default=["inception_v3=imagenet"],
        metavar="TOWER=WEIGHTS",
        help=f"towers ({', '.join(TOWERS)}), and for each imagenet or a file of weights",
    )
    add("--run-folder", type=Path, default=Path("runs/latest"))
    add("--head-c", type=float, default=HEAD_C, help="less keeps the head simpler")
    add("--seed", type=int, default=1)
    add("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    add("--smoke", action="store_true", help="do everything on 56 pictures that it draws itself")
    flags = parser.parse_args(arguments)
    if not flags.smoke and flags.data is None:
        parser.error("--data is missing (or --smoke)")
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
    """Draw pictures, tune both towers on small ones, fit the head and export."""
    sys.path.append(str(Path(__file__).parents[1] / "dataset"))
    import export
    import tune
    from draw_samples import write_dataset

    with tempfile.TemporaryDirectory() as folder:
        flags.data = Path(folder)
        write_dataset(flags.data, pictures_per_label=8, seed=flags.seed)
        flags.base_weights = []
        for tower in TOWERS:
            tuned = flags.run_folder / tower
            options = f"--tower {tower} --base-weights none --data {folder} --epochs 1"
            options += f" --image-size 96 --batch-size 8 --run-folder {tuned}"
            tune.tune(tune.read_flags(options.split()))
            flags.base_weights.append(f"{tower}={run_folder.weights_file(tuned, tower)}")
        train(flags)
        export.export(flags.run_folder, flags.data, flags.run_folder / "exported", version=1)


def train(flags: argparse.Namespace) -> None:
    """Extract features, fit the head on pictures and their mirror images, and write the run.

    Raises:
        DataError, FileNotFoundError: what the flags name cannot be used.
    """
    keras.utils.set_random_seed(flags.seed)
    pictures = read(flags.data, flags.manifest)
    outliers = read_outliers(flags.outliers, flags.leave_out.split(","))
    flags.run_folder.mkdir(parents=True, exist_ok=True)

    towers, features, of_outliers = look(flags, pictures, outliers)
    if not any(picture.split for picture in pictures):
        pictures = split(pictures, features[0][:, 0], flags.seed)
    write_manifest(flags.run_folder / run_folder.MANIFEST, pictures, flags.data)

    labels, outlier_labels = labels_of(pictures), labels_of(outliers)
    held_out = np.array([picture.split == "validation" for picture in pictures])
    classes = np.array([labels.index(picture.label) for picture in pictures])
    seen = np.concatenate(features, axis=2)
    sides = [*seen[~held_out].swapaxes(0, 1)]
    of_sides = [classes[~held_out]] * len(sides)
    if outliers:
        sides.append(np.concatenate(of_outliers, axis=2)[:, 0])
        of_sides.append(np.array([len(labels) + outlier_labels.index(p.label) for p in outliers]))
    kernel, bias = head.fit(np.concatenate(sides), np.concatenate(of_sides), flags.head_c)
    logits = (seen[held_out, 0] @ kernel + bias)[:, : len(labels)]
    accuracy = (logits.argmax(1) == classes[held_out]).mean()
    print(f"validation accuracy: {accuracy:.4f} of {len(logits)} pictures")
    run_folder.save(
        flags.run_folder,
        run_folder.Run(
            labels, outlier_labels, towers, kernel, bias, unit(features[0][~held_out, 0])
        ),
        {
            "base_weights": {n: Path(w).name for n, w in towers_of(flags.base_weights)},
            "head_c": flags.head_c,
            "seed": flags.seed,
            "pictures": {
                "train": int((~held_out).sum()),
                "validation": len(logits),
                "outliers": len(outliers),
            },
            "validation_accuracy": float(accuracy),
        },
    )


def look(
    flags: argparse.Namespace, pictures: list[Picture], outliers: list[Picture]
) -> tuple[dict[str, keras.Model], list[np.ndarray], list[np.ndarray]]:
    """Write each tower's weights, and see what it makes of the pictures.

    Returns:
        The towers, and for each one the features of pictures and mirror images, float32
        [N, 2, F], and of the outliers, [M, 1, F], if there are any.
    """
    towers, features, of_outliers = {}, [], []
    for name, weights in towers_of(flags.base_weights):
        print(f"precision of {name}: {use_precision(flags.precision, TOWERS[name].bfloat16)}")
        file = run_folder.weights_file(flags.run_folder, name)
        save_base_weights(name, backbone(name, weights), file)
        towers[name] = network = backbone(name, str(file))
        features.append(extract(name, network, pictures, file.with_suffix(".npz")))
        if outliers:
            file = file.with_suffix(".outliers.npz")
            of_outliers.append(extract(name, network, outliers, file, mirrored=False))
    return towers, features, of_outliers


def unit(features: np.ndarray) -> np.ndarray:
    """The features with length 1, as float16."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True) + 1e-12
    scaled: np.ndarray = (features / lengths).astype(np.float16)
    return scaled


def towers_of(base_weights: Sequence[str]) -> list[tuple[str, str]]:
    """Split TOWER=WEIGHTS.

    Raises:
        DataError: there is no such tower.
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
