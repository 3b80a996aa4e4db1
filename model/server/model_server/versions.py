"""The versions of a model in its folder: which there are, which one serves."""

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
    """What GetModelStatus says of a version."""

    state: int
    error_code: int = 0
    error_message: str = ""


@dataclass
class Versions:
    """Serves the newest version of a folder, and loads the next one beside it.

    `watch` runs in a thread of its own; `servable` and `statuses` may be called
    from any.
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
        """The version that serves.

        Raises:
            NotFound: none does, or another than the one asked for.
        """
        current = self._current
        if (
            current is None
            or model_name != self.model_name
            or version not in (None, current.version)
        ):
            asked = f"Latest({model_name})"
            if version is not None:
                asked = f"Specific({model_name}, {version})"
            raise NotFound(f"Servable not found for request: {asked}")
        return current

    def statuses(self) -> dict[int, Status]:
        """Newest first, as TensorFlow Serving lists them."""
        return dict(sorted(self._statuses.items(), reverse=True))

    def watch(self, seconds: float) -> None:
        """Look at the folder every so many seconds, until `stop`."""
        seen: tuple[int, Fingerprint] | None = None
        while not self._stopped.is_set():
            try:
                newest = self._newest()
            except OSError:  # the folder changes while we read it; the next look will tell
                newest = None
            # A folder that still grows is not loaded over one that serves.
            settled = self._current is None or newest == seen
            if newest is not None and settled:
                self._serve(*newest)
            seen = newest
            self._stopped.wait(seconds)

    def stop(self) -> None:
        self._stopped.set()

    def _newest(self) -> tuple[int, Fingerprint] | None:
        """The version that should serve: the newest that has not failed as it is now."""
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
        began = time.monotonic()
        try:
            servable = Servable(self.base_path / str(version), self.runtime)
        except Exception as error:  # TensorFlow raises many kinds
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
            time.monotonic() - began,
            servable.warm_up_requests,
        )
        self.on_available()
        if previous is not None:  # what it is still working on keeps it alive until it is done
            self._statuses[previous.version] = Status(State.END)
            log.info("version %d unloaded", previous.version)
            del previous
        _give_memory_back()


def _folders(base_path: Path) -> list[Path]:
    return [f for f in base_path.iterdir() if f.name.isdecimal() and f.is_dir()]


def _give_memory_back() -> None:
    """Loading takes far more memory than serving, and glibc keeps it unless asked."""
    gc.collect()
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _fingerprint(folder: Path) -> Fingerprint:
    """Changes with any file of a folder."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return frozenset(
        (str(file.relative_to(folder)), file.stat().st_size, file.stat().st_mtime_ns)
        for file in files
    )
