"""Finds the images that the command is to classify."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from sports import interruption
from sports.client import is_url

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"}
INTERVAL = 1.0  # seconds between two looks at a watched folder


def read_list(lines: Iterable[str]) -> Iterator[str]:
    """The sources in a list, one on each line; empty lines do not count."""
    return filter(None, map(str.strip, lines))


def expand_folders(sources: Iterable[str]) -> list[str]:
    """The sources, each once, and each folder replaced by the images in it and below it.

    Raises:
        ValueError: a folder has no images.
    """
    expanded: dict[str, None] = {}
    for source in sources:
        if is_url(source) or not Path(source).is_dir():
            expanded[source] = None
        elif found := find_images(Path(source)):
            expanded.update(dict.fromkeys(found))
        else:
            raise ValueError(f"{source} has no images in it ({', '.join(sorted(SUFFIXES))}).")
    return list(expanded)


def find_images(folder: Path) -> list[str]:
    """The paths of the image files in a folder and below it."""
    files = sorted(folder.rglob("*"))
    return [str(file) for file in files if file.suffix.lower() in SUFFIXES]


def watch_folder(folder: Path, done: set[str]) -> Iterator[list[str]]:
    """The images in a folder that are not done; then, for ever, those that are added or changed.

    An image is complete, and reported, when two looks at it find the same size and date.
    """
    before: dict[str, tuple[int, int]] = {}
    reported = {path: state for path, state in _states(folder) if path in done}
    while True:
        now = dict(_states(folder))
        complete = [p for p in now if now[p] == before.get(p) and now[p] != reported.get(p)]
        reported.update((path, now[path]) for path in complete)
        if complete:
            yield complete
        before = now
        time.sleep(INTERVAL)
        interruption.check()


def _states(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    for path in find_images(folder):
        try:
            status = Path(path).stat()
        except FileNotFoundError:  # it was there a moment ago
            continue
        yield path, (status.st_size, status.st_mtime_ns)
