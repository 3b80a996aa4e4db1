"""Get pictures ready for training: drop what is broken or there twice, choose the split.

    python dataset/prepare.py --data FOLDER --manifest runs/manifest.csv
    python dataset/prepare.py               # fetches the Kaggle data set first

FOLDER is in the Kaggle layout: `train/` and `train.csv` (columns `image_ID`, `label`). The
pictures stay as they are; the manifest (path, sha256, label, split) says which ones count.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

sys.path.append(str(Path(__file__).resolve().parents[1] / "trainer"))

from data import DataError, Picture, read, split, write_manifest
from features import extract
from network import backbone

from gateway.errors import GatewayError
from gateway.images import preprocess

TOWER = "inception_v3"  # whose features tell which pictures are one series
KAGGLE = "sidharkal/sports-image-classification"
HASH_BITS = 64
NEAR = 8  # bits in which the perceptual hashes of near-duplicates differ at most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help=f"default: fetch {KAGGLE}")
    parser.add_argument("--manifest", type=Path, help="default: manifest.csv in the data folder")
    parser.add_argument(
        "--base-weights", default="imagenet", help="imagenet, or a file of InceptionV3's weights"
    )
    parser.add_argument("--seed", type=int, default=1)
    flags = parser.parse_args()
    try:
        folder = flags.data or fetch()
        manifest = flags.manifest or folder / "manifest.csv"
        pictures = prepare(folder, flags.base_weights, flags.seed)
        write_manifest(manifest, pictures, folder)
    except (DataError, OSError) as error:
        sys.exit(f"prepare.py: {error}")
    print(table(pictures))
    print(f"wrote {manifest}")


def fetch() -> Path:
    """Download the Kaggle data set, or find it where it was downloaded before.

    Raises:
        DataError: there is no kagglehub, no network, or no train.csv in what came.
    """
    try:
        import kagglehub  # an extra: whoever has a folder does without it

        root = Path(kagglehub.dataset_download(KAGGLE))
    except Exception as error:  # its errors are requests' and its own, without one root
        raise DataError(f"cannot fetch {KAGGLE} ({error}); give --data FOLDER") from error
    tables = sorted(root.rglob("train.csv"))
    if not tables:
        raise DataError(f"{root} holds no train.csv")
    return tables[0].parent


def prepare(folder: Path, base_weights: str, seed: int) -> list[Picture]:
    """Read, drop and split.

    Args:
        folder: in the Kaggle layout.
        base_weights: of InceptionV3, as train.py takes them.
        seed: of the split.

    Raises:
        DataError: the folder is not in the layout.
    """
    pictures = read(folder)
    hashes = [perceptual_hash(picture) for picture in tqdm(pictures, desc="reading")]
    unreadable = {i for i, bits in enumerate(hashes) if bits is None}
    readable = [i for i in range(len(pictures)) if i not in unreadable]
    twice, contradictory = near_duplicates(
        [pictures[i] for i in readable], np.array([hashes[i] for i in readable])
    )
    dropped = {readable[i] for i in twice | contradictory}
    kept = [pictures[i] for i in readable if i not in dropped]
    print(
        f"{len(pictures)} pictures: {len(unreadable)} unreadable, {len(twice)} near-duplicates, "
        f"{len(contradictory)} near-duplicates under two labels dropped; {len(kept)} kept"
    )
    features = extract(TOWER, backbone(TOWER, base_weights), kept, mirrored=False)[:, 0]
    return split(kept, features, seed)


def perceptual_hash(picture: Picture) -> np.ndarray | None:
    """pHash (Zauner 2010) as bool [64]; None when the picture cannot be read."""
    try:
        pixels = preprocess(picture.path.read_bytes())
    except GatewayError as error:
        print(f"unreadable: {picture.path.name} ({error})", file=sys.stderr)
        return None
    return imagehash.phash(Image.fromarray(pixels)).hash.flatten()


def near_duplicates(pictures: Sequence[Picture], hashes: np.ndarray) -> tuple[set[int], set[int]]:
    """Find what to drop.

    Args:
        pictures: N pictures.
        hashes: bool [N, 64].

    Returns:
        The later ones of each group of near-duplicates, and whole groups that
        stand under several labels.
    """
    signs = np.where(hashes, 1.0, -1.0).astype(np.float32)
    distances = (HASH_BITS - signs @ signs.T) / 2
    count, groups = connected_components(distances <= NEAR, directed=False)
    members: list[list[int]] = [[] for _ in range(count)]
    for i, group in enumerate(groups):
        members[group].append(i)
    twice: set[int] = set()
    contradictory: set[int] = set()
    for group_members in members:
        if len({pictures[i].label for i in group_members}) > 1:
            contradictory.update(group_members)
        else:
            twice.update(group_members[1:])
    return twice, contradictory


def table(pictures: Sequence[Picture]) -> str:
    """How many pictures of each label each split has, as Markdown."""
    counts = Counter((picture.label, picture.split) for picture in pictures)
    lines = ["| label | train | validation |", "| --- | --- | --- |"]
    for label in sorted({picture.label for picture in pictures}):
        lines.append(f"| {label} | {counts[label, 'train']} | {counts[label, 'validation']} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
