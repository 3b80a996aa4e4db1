"""Prepare images for training: drop broken files and near-duplicates, choose the split.

    python dataset/prepare.py --data FOLDER --manifest runs/manifest.csv
    python dataset/prepare.py               # downloads the Kaggle data set first

FOLDER has `train/` and `train.csv` (columns `image_ID`, `label`), or a folder for each label. The
images are not changed; the manifest (path, sha256, label, split) lists those to use. --feedback
adds what the gateway has stored in its GATEWAY_FEEDBACK_FOLDER.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import imagehash
import numpy as np
from data import (
    DataError,
    LabelledImage,
    image_files,
    labels_of,
    read_images,
    write_manifest,
)
from features import extract
from network import backbone
from PIL import Image
from scipy.sparse.csgraph import connected_components
from splits import split
from tqdm import tqdm

from gateway.errors import GatewayError
from gateway.images import preprocess

TOWER = "inception_v3"  # its features show which images are of one series
KAGGLE = "sidharkal/sports-image-classification"
HASH_BITS = 64
NEAR = 8  # the most bits in which the perceptual hashes of near-duplicates differ


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help=f"default: download {KAGGLE}")
    parser.add_argument("--manifest", type=Path, help="default: manifest.csv in the data folder")
    parser.add_argument(
        "--base-weights", default="imagenet", help="imagenet, or a file of InceptionV3's weights"
    )
    parser.add_argument("--feedback", type=Path, help="a folder of feedback, to use too")
    parser.add_argument("--seed", type=int, default=1, help="of the split (default: 1)")
    flags = parser.parse_args()
    try:
        folder = flags.data or download()
        manifest = flags.manifest or folder / "manifest.csv"
        feedback = read_feedback(flags.feedback) if flags.feedback else []
        images = prepare(folder, flags.base_weights, flags.seed, feedback)
        write_manifest(manifest, images, folder)
    except (DataError, OSError) as error:
        sys.exit(f"prepare.py: {error}")
    print(table(images))
    print(f"wrote {manifest}")


def download() -> Path:
    """Download the Kaggle data set, or return the folder of an earlier download.

    Raises:
        DataError: kagglehub or the network is missing, or the download has no train.csv.
    """
    try:
        import kagglehub  # optional; not needed with --data

        root = Path(kagglehub.dataset_download(KAGGLE))
    except Exception as error:  # it has no common base class for its errors
        raise DataError(f"cannot download {KAGGLE} ({error}); use --data FOLDER") from error
    tables = sorted(root.rglob("train.csv"))
    if not tables:
        raise DataError(f"{root} has no train.csv")
    return tables[0].parent


def read_feedback(folder: Path) -> list[LabelledImage]:
    """The images that people have labelled, as the gateway stores them (gateway/feedback.py).

    Raises:
        DataError: it is not such a folder.
    """
    labels = folder / "labels"
    if not labels.is_dir():
        raise DataError(f"{folder} has no folder `labels`; is it a GATEWAY_FEEDBACK_FOLDER?")
    return [LabelledImage(file, file.parent.name.lower()) for file in image_files(labels)]


def prepare(
    folder: Path, base_weights: str, seed: int, feedback: Sequence[LabelledImage] = ()
) -> list[LabelledImage]:
    """The images to use, each with its split.

    Args:
        folder: in one of the layouts that trainer/data.py reads.
        base_weights: InceptionV3's, as in train.py.
        seed: determines the split.
        feedback: further images; those that the folder has already are left out.

    Raises:
        DataError: the folder is not in the layout, or feedback has a label that it lacks.
    """
    own = read_images(folder)
    if unknown := {image.label for image in feedback} - set(labels_of(own)):
        raise DataError(f"feedback has the label {min(unknown)!r}, which {folder} lacks")
    images = [*own, *feedback]
    hashes = [perceptual_hash(image) for image in tqdm(images, desc="reading")]
    readable = [i for i, bits in enumerate(hashes) if bits is not None]
    repeated, contradictory = near_duplicates(
        [images[i] for i in readable],
        np.array([hashes[i] for i in readable]),
        trusted=sum(i < len(own) for i in readable),
    )
    dropped = {readable[i] for i in repeated | contradictory}
    kept = [images[i] for i in readable if i not in dropped]
    print(
        f"{len(images)} images: {len(images) - len(readable)} unreadable, "
        f"{len(repeated)} near-duplicates, {len(contradictory)} near-duplicates with different "
        f"labels dropped; {len(kept)} kept"
    )
    features = extract(TOWER, backbone(TOWER, base_weights), kept, mirrored=False)[:, 0]
    return split(kept, features, seed)


def perceptual_hash(image: LabelledImage) -> np.ndarray | None:
    """pHash (Zauner 2010) as bool [64]; None when the image cannot be read."""
    try:
        pixels = preprocess(image.path.read_bytes())
    except GatewayError as error:
        print(f"unreadable: {image.path.name} ({error})", file=sys.stderr)
        return None
    bits: np.ndarray = imagehash.phash(Image.fromarray(pixels)).hash.flatten()
    return bits


def near_duplicates(
    images: Sequence[LabelledImage], hashes: np.ndarray, trusted: int | None = None
) -> tuple[set[int], set[int]]:
    """Find the images to drop.

    Args:
        images: N images.
        hashes: bool [N, 64].
        trusted: so many come first from a data set; the others are dropped if they are
            near-duplicates of these, whatever their labels.

    Returns:
        The indices of all but the first image of each group of near-duplicates, and those
        of the groups with several labels.
    """
    signs = np.where(hashes, 1.0, -1.0).astype(np.float32)
    distances = (HASH_BITS - signs @ signs.T) / 2
    count, groups = connected_components(distances <= NEAR, directed=False)
    members: list[list[int]] = [[] for _ in range(count)]
    for i, group in enumerate(groups):
        members[group].append(i)
    repeated: set[int] = set()
    contradictory: set[int] = set()
    for group in members:
        known = [i for i in group if trusted is None or i < trusted]
        group_members = known or group
        repeated.update(set(group) - set(group_members))
        if len({images[i].label for i in group_members}) > 1:
            contradictory.update(group_members)
        else:
            repeated.update(group_members[1:])
    return repeated, contradictory


def table(images: Sequence[LabelledImage]) -> str:
    """The number of images by label and split, as Markdown."""
    counts = Counter((image.label, image.split) for image in images)
    lines = ["| label | train | validation |", "| --- | --- | --- |"]
    for label in labels_of(images):
        lines.append(f"| {label} | {counts[label, 'train']} | {counts[label, 'validation']} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
