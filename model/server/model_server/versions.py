"""The versions of a model: loads the newest in its folder and tracks their statuses."""

import contextlib
import ctypes
import gc
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus

from model_server.engines import Runtime
from model_server.errors import NotFound, status_of
from model_server.servable import Servable

State = ModelVersionStatus.State
Fingerprint = frozenset[tuple[str, int, int]]

log = logging.getLogger("model_server")


@dataclass
class Status:
    """The status of a version, as reported by GetModelStatus."""

    state: int
    error_code: int = 0
    error_message: str = ""


@dataclass
class Versions:
    """Serves the newest version in a folder, also while the next one is being loaded.

    `watch` runs in its own thread; `servable` and `statuses` may be called from any thread.
    """

    model_name: str
    base_path: Path
    runtime: Runtime = field(default_factory=Runtime)
    on_available: Callable[[], None] = lambda: None
    _current: Servable | None = None
    _statuses: dict[int, Status] = field(default_factory=dict)
    _failed: dict[int, Fingerprint] = field(default_factory=dict)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def servable(self, model_name: str, version: int | None = None) -> Servable:
        """The version that is served.

        Raises:
            NotFound: no version is served, or not the requested one.
        """
        current = self._current
        if (
            current is None
            or model_name != self.model_name
            or version not in (None, current.version)
        ):
            requested = f"Latest({model_name})"
            if version is not None:
                requested = f"Specific({model_name}, {version})"
            raise NotFound(f"Servable not found for request: {requested}")
        return current

    def statuses(self) -> dict[int, Status]:
        """The status of each version, newest first as in TensorFlow Serving."""
        return dict(sorted(self._statuses.items(), reverse=True))

    def watch(self, seconds: float) -> None:
        """Poll the folder every `seconds` until `stop` is called."""
        previous: tuple[int, Fingerprint] | None = None
        while not self._stopped.is_set():
            try:
                newest = self._newest()
            except OSError:  # the folder changes while it is read; the next poll reads it again
                newest = None
            # While a version is served, the next one is loaded once its files no longer change.
            settled = self._current is None or newest == previous
            if newest is not None and settled:
                self._serve(*newest)
            previous = newest
            self._stopped.wait(seconds)

    def stop(self) -> None:
        self._stopped.set()

    def _newest(self) -> tuple[int, Fingerprint] | None:
        """The version to serve: the newest that has not failed to load with its current files."""
        for folder in sorted(_folders(self.base_path), key=lambda f: int(f.name), reverse=True):
            version, fingerprint = int(folder.name), _fingerprint(folder)
            if self._failed.get(version) != fingerprint:
                return version, fingerprint
        return None

    def _serve(self, version: int, fingerprint: Fingerprint) -> None:
        previous = self._current
        if previous is not None and previous.version == version:
            return
        self._statuses[version] = Status(State.LOADING)
        log.info("loading version %d", version)
        start = time.monotonic()
        try:
            servable = Servable(self.base_path / str(version), self.runtime)
        except Exception as error:  # TensorFlow raises many types
            self._failed[version] = fingerprint
            code, message = status_of(error)
            self._statuses[version] = Status(State.END, code.value[0], message)
            log.error("version %d cannot be loaded: %s", version, message)
            return
        self._current = servable
        self._statuses[version] = Status(State.AVAILABLE)
        log.info(
            "version %d available after %.1f s, %d warm-up requests",
            version,
            time.monotonic() - start,
            servable.warm_up_requests,
        )
        self.on_available()
        if previous is not None:  # its requests in flight keep it in memory until they end
            self._statuses[previous.version] = Status(State.END)
            log.info("version %d unloaded", previous.version)
            del previous
        _release_memory()


def _folders(base_path: Path) -> list[Path]:
    return [f for f in base_path.iterdir() if f.name.isdecimal() and f.is_dir()]


def _release_memory() -> None:
    """Return the memory that loading needed to the system; glibc keeps it by default."""
    gc.collect()
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _fingerprint(folder: Path) -> Fingerprint:
    """The path, size and time of change of each file in a folder."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return frozenset(
        (str(file.relative_to(folder)), file.stat().st_size, file.stat().st_mtime_ns)
        for file in files
    )
