"""Feedback: images with the label that a person gave, stored for the trainer.

    FOLDER/labels/<label>/<SHA-256>.jpg    and .json: what the model had said
    FOLDER/none/<SHA-256>.jpg              for images that show none of the labels

The folder `labels` is in a layout that the trainer reads, and `none` is one of other sports.
Several processes can share the folder. A file is complete as soon as it has its name.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway.errors import FeedbackNotStored, TooManyRequests

NONE = "none"  # stands for a label: the image shows none of them
SUFFIXES = {  # by what such files begin with
    b"\xff\xd8": ".jpg",
    b"\x89PNG": ".png",
    b"RIFF": ".webp",
    b"GIF8": ".gif",
    b"BM": ".bmp",
}
DIGITS = 20  # of the count of bytes
MAX_AT_ONCE = 4  # so that a disk that hangs does not take all threads
BUSY = "Too much feedback arrives at once."
PAUSE = 0.002  # seconds between two attempts to get the lock


class FeedbackStore:
    """Stores each image once for each label that it was given.

    Args:
        folder: made if it is missing; only its owner can read it.
        max_bytes: the most that all files together may take.

    Raises:
        ValueError: the folder cannot be used.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._slots = threading.BoundedSemaphore(MAX_AT_ONCE)
        self._threads = threading.BoundedSemaphore(1)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock_file = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
            with self._locked(time.monotonic() + 60):
                self._recount()
        except (OSError, TooManyRequests) as error:
            raise ValueError(f"GATEWAY_FEEDBACK_FOLDER: {error}") from error

    def store(
        self, image: bytes, label: str, is_none: bool, answer: dict[str, Any], deadline: float
    ) -> str:
        """Store an image, unless it is there with this label already.

        Args:
            image: the bytes of a file in one of the supported formats.
            label: what a person says that it shows.
            is_none: the image shows none of the labels; `label` does not count.
            answer: what the model had said.
            deadline: when to give up waiting for others, on time.monotonic's clock.

        Returns:
            The SHA-256 of the image, in hexadecimal digits.

        Raises:
            FeedbackNotStored: the quota is used up, or the disk refuses to store it.
            TooManyRequests: too many others store something, too.
        """
        digest = hashlib.sha256(image).hexdigest()
        folder = self._folder / (NONE if is_none else f"labels/{_file_name(label)}")
        file = folder / f"{digest}{_suffix(image)}"
        note = json.dumps({"label": None if is_none else label, **answer}).encode()
        with self._locked(deadline):
            if file.exists():
                return digest
            used = self._used()
            total = used + len(image) + len(note)
            if total > self._max_bytes:
                raise FeedbackNotStored("There is no room for more feedback.")
            try:
                self._set_used(total)  # first: what ends in between is counted, not overlooked
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._write(file.with_suffix(".json"), note)
                self._write(file, image)
            except OSError as error:
                with contextlib.suppress(OSError):
                    file.with_suffix(".json").unlink()
                with contextlib.suppress(OSError):
                    self._set_used(used)
                raise FeedbackNotStored("The feedback cannot be stored.") from error
        return digest

    def close(self) -> None:
        os.close(self._lock_file)

    @contextlib.contextmanager
    def _locked(self, deadline: float) -> Iterator[None]:
        """Exclude other threads and processes; the lock of a process that dies is free."""
        wait = deadline - time.monotonic()
        with _held(self._slots, 0), _held(self._threads, wait):
            while not self._try_lock():
                if time.monotonic() > deadline:
                    raise TooManyRequests(BUSY)
                time.sleep(PAUSE)
            try:
                yield
            finally:
                fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def _try_lock(self) -> bool:
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _write(self, file: Path, data: bytes) -> None:
        """Write a file that is either complete or not there, whatever ends this process."""
        unfinished = self._folder / ".unfinished"  # there is one at a time
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as output:
                output.write(data)
                output.flush()
                os.fsync(descriptor)
            unfinished.replace(file)
            _sync_folder(file.parent)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise

    def _recount(self) -> None:
        """Count what is there, and remove what a process left behind when it ended."""
        (self._folder / ".unfinished").unlink(missing_ok=True)
        files = [file for kind in ("labels", NONE) for file in (self._folder / kind).rglob("*.*")]
        self._set_used(sum(file.stat().st_size for file in files if file.is_file()))

    def _used(self) -> int:
        return int(os.pread(self._lock_file, DIGITS, 0))

    def _set_used(self, count: int) -> None:
        os.pwrite(self._lock_file, f"{count:0{DIGITS}}".encode(), 0)


@contextlib.contextmanager
def _held(lock: threading.Semaphore, seconds: float) -> Iterator[None]:
    """Hold a lock that is free within some seconds."""
    if not lock.acquire(timeout=max(0, seconds)):
        raise TooManyRequests(BUSY)
    try:
        yield
    finally:
        lock.release()


def _suffix(image: bytes) -> str:
    return next((SUFFIXES[start] for start in SUFFIXES if image.startswith(start)), ".jpg")


def _file_name(label: str) -> str:
    """A label as the name of a folder; those of letters, digits and spaces stay as they are."""
    name = quote(label, safe=" ")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
