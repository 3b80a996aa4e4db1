"""Leave images out of a manifest whose labels are probably wrong.

    python dataset/clean.py --data FOLDER --manifest runs/manifest.csv \\
        --tower efficientnet_lite2 --base-weights FILE \\
        --output runs/clean.csv --dropped runs/dropped.csv

Each image is classified by a logistic regression that has not seen it or its near-duplicates, on
features of a network that must not have been trained on the images: it would repeat their labels.
What looks like another label is dropped. Held-out images are only listed: without the doubtful
ones a model would seem better than it is.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import environment  # noqa: F401
import head
import numpy as np
from data import DataError, LabelledImage, classes_of, labels_of, read_images, write_manifest
from features import extract
from network import TOWERS, backbone
from scipy.special import softmax
from splits import folds

FOLDS = 5
HEAD_C = 1e-2
COLUMNS = ("path", "label", "probability", "looks_like", "its_probability", "split")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="a folder of images, see dataset/README.md")
    add("--manifest", type=Path, required=True, help="the table that dataset/prepare.py wrote")
    add("--tower", choices=TOWERS, default="inception_v3", help="which network computes features")
    add("--base-weights", default="imagenet", help="imagenet, or a file of the tower's weights")
    add("--head-c", type=float, default=HEAD_C, help="inverse strength of the L2 penalty")
    add("--output", type=Path, required=True, help="the manifest to write")
    add("--dropped", type=Path, required=True, help="the table of doubtful images to write")
    add("--seed", type=int, default=1, help="of the folds")
    flags = parser.parse_args()
    try:
        images = read_images(flags.data, flags.manifest)
        network = backbone(flags.tower, flags.base_weights)
        features = extract(flags.tower, network, images, mirrored=False)[:, 0]
        kept = clean(images, features, flags.head_c, flags.seed, flags.dropped)
        write_manifest(flags.output, kept, flags.data)
    except (DataError, OSError) as error:
        sys.exit(f"clean.py: {error}")
    print(f"{len(images) - len(kept)} of {len(images)} images dropped, see {flags.dropped}")


def clean(
    images: Sequence[LabelledImage], features: np.ndarray, c: float, seed: int, table: Path
) -> list[LabelledImage]:
    """The images without those for training that are probably mislabelled.

    Args:
        images: N images.
        features: float32 [N, F].
        c: inverse strength of the L2 penalty of the regression.
        seed: determines the folds.
        table: receives a row for each doubtful image, the most doubtful first.

    Raises:
        DataError: a label has fewer than FOLDS images.
    """
    labels = labels_of(images)
    classes = classes_of(images, labels)
    probabilities = predict_unseen(features, classes, labels, c, seed)
    suspects = np.flatnonzero(mislabelled(probabilities, classes))
    own = probabilities[suspects, classes[suspects]]
    with table.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(COLUMNS)
        for i in suspects[own.argsort()].tolist():
            top = probabilities[i].argmax()
            given, other = probabilities[i, [classes[i], top]].round(4)
            name = "/".join(images[i].path.parts[-2:])
            rows.writerow([name, images[i].label, given, labels[top], other, images[i].split])
    dropped = {i for i in suspects.tolist() if images[i].split != "validation"}
    return [image for i, image in enumerate(images) if i not in dropped]


def predict_unseen(
    features: np.ndarray, classes: np.ndarray, labels: Sequence[str], c: float, seed: int
) -> np.ndarray:
    """Probabilities float [N, C], each image's by a head that has not seen its series.

    Raises:
        DataError: a label has fewer than FOLDS images.
    """
    probabilities = np.zeros((len(features), len(labels)))
    for seen, unseen in folds(np.array(labels)[classes], features, FOLDS, seed):
        kernel, bias = head.fit(features[seen], classes[seen], c)
        probabilities[unseen] = softmax(features[unseen] @ kernel + bias, axis=1)
    return probabilities


def mislabelled(probabilities: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Which images probably have another label: bool [N].

    Confident learning (Northcutt et al. 2021): a label is likely where its probability reaches
    the mean that it has over the images with this label. An image is listed if its most probable
    label is another than its own, and likely.

    Args:
        probabilities: float [N, C], predicted without having seen the image.
        classes: int [N], the labels to check; each of 0 to C - 1 occurs.
    """
    numbers = range(probabilities.shape[1])
    likely = np.array([probabilities[classes == number, number].mean() for number in numbers])
    top = probabilities.argmax(1)
    listed: np.ndarray = (top != classes) & (probabilities.max(1) >= likely[top])
    return listed


if __name__ == "__main__":
    main()
