"""Compare a new version with the served one and, when told to, serve it.

    python trainer/promote.py --candidate runs/staged/4 --data FOLDER \\
        --manifest runs/first/manifest.csv --further FOLDER --others FOLDER [--yes]

Both are measured on the same images, which neither should have been trained on, in
TensorFlow. With --yes the new version is moved, in one rename, to where servers look for
versions; they load it and then unload the old one.
"""

import argparse
import errno
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import environment  # noqa: F401
from data import DataError
from export import SERVED
from image_sets import ImageSet, read_image_sets
from predictions import predict_with_saved_model
from summary import Judged, judge, paired_test, summary

SIGNIFICANT = 0.05


class PromotionError(Exception):
    """The version cannot be compared or moved; nothing was changed."""


def read_flags(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--candidate", type=Path, required=True, help="the folder that export.py wrote")
    add("--served", type=Path, default=SERVED, help="the folder of the served versions")
    add("--data", type=Path, required=True, help="a folder of images, see dataset/README.md")
    add("--manifest", type=Path, required=True, help="the run folder's: which are held out")
    add("--further", type=Path, nargs="+", default=[], help="more folders of the same sports")
    add("--others", type=Path, nargs="+", default=[], help="folders of images of other sports")
    add("--yes", action="store_true", help="serve the candidate after showing the comparison")
    return parser.parse_args(arguments)


def main() -> None:
    flags = read_flags()
    try:
        promote(flags)
    except (DataError, PromotionError, OSError) as error:
        sys.exit(f"promote.py: {error}")


def promote(flags: argparse.Namespace) -> None:
    """Print the comparison and, with `--yes`, move the candidate.

    Raises:
        DataError, PromotionError, OSError
    """
    target = flags.served / flags.candidate.name
    if not (flags.candidate.name.isdigit() and (flags.candidate / "saved_model.pb").is_file()):
        raise PromotionError(f"{flags.candidate} is not the folder of a version")
    if target.exists():
        raise PromotionError(f"{target} exists already; a version is never changed")
    sets = read_image_sets(flags.data, flags.manifest, flags.further, flags.others)
    candidate = measure(flags.candidate, sets)
    served = newest_version(flags.served)
    print(f"Candidate {flags.candidate}:\n\n{summary(candidate)}\n")
    if served is None:
        print(f"Nothing is served from {flags.served} yet.")
    else:
        before = measure(served, sets)
        print(f"Served {served}:\n\n{summary(before)}\n\n{comparison(before, candidate)}\n")
    if flags.yes:
        move(flags.candidate, target)
        print(f"moved to {target}")
    else:
        print("Nothing was moved; --yes serves the candidate.")


def newest_version(folder: Path) -> Path | None:
    """The version that servers choose: the one with the highest number."""
    versions = [child for child in folder.glob("*") if child.name.isdigit()]
    return max(versions, key=lambda version: int(version.name), default=None)


def measure(version: Path, sets: Sequence[ImageSet]) -> list[Judged]:
    """What a version predicts for all sets.

    Raises:
        DataError: its labels are not those of the images.
    """
    return [
        judge(images, predict_with_saved_model(version, images.contents(), images.name))
        for images in sets
    ]


def comparison(before: Sequence[Judged], after: Sequence[Judged]) -> str:
    """On which images only one of two versions is right, with McNemar's test, as Markdown."""
    rows = [
        "| images | only the served is right | only the candidate | p (McNemar) | |",
        "| --- | --- | --- | --- | --- |",
    ]
    for old, new in zip(before, after, strict=True):
        lost, won, chance = paired_test(old.right, new.right)
        verdict = "no significant difference"
        if chance < SIGNIFICANT:
            verdict = "better" if won > lost else "**worse**"
        rows.append(f"| {old.name} | {lost} | {won} | {chance:.3f} | {verdict} |")
    return "\n".join(rows)


def move(candidate: Path, target: Path) -> None:
    """Rename a folder; from another file system it is copied first, under a hidden name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        candidate.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        unfinished = target.with_name(f".{target.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(candidate, unfinished)
        unfinished.rename(target)
        shutil.rmtree(candidate)


if __name__ == "__main__":
    main()
