"""The versions of a model: loads the newest in its folder and tracks their statuses."""

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from model_server.errors import NotFound, status_of
from model_server.networks import release_memory
from model_server.servable import Runtime, Servable
from tf_serving import api_pb2 as tf

State = tf.ModelVersionStatus.State
Fingerprint = frozenset[tuple[str, int, int]]

log = logging.getLogger("model_server")


@dataclass
class Versions:
    """Serves the newest version in a folder, also while the next one is being loaded.

    `watch` runs in its own thread; `servable` and `statuses` may be called from any thread.

    Attributes:
        first_tried: set when a version is served, or none of those in the folder can be loaded.
    """

    model_name: str
    base_path: Path
    runtime: Runtime = field(default_factory=Runtime)
    on_change: Callable[[bool], None] = lambda _: None
    first_tried: threading.Event = field(default_factory=threading.Event)
    _current: Servable | None = None
    _statuses: dict[int, tf.ModelVersionStatus] = field(default_factory=dict)
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

    def statuses(self) -> dict[int, tf.ModelVersionStatus]:
        """The status of each version, newest first as in TensorFlow Serving."""
        return dict(sorted(self._statuses.items(), reverse=True))

    def watch(self, seconds: float) -> None:
        """Poll the folder every `seconds` until `stop` is called."""
        previous: tuple[Path, Fingerprint] | None = None
        while not self._stopped.is_set():
            try:
                folders = _folders(self.base_path)
                newest = self._newest(folders)
            except OSError:  # the folder is away, or changes while it is read: read it again
                folders, newest = None, None
            # While a version is served, the next one is loaded once its files no longer change.
            settled = self._current is None or newest == previous
            if newest is not None and settled:
                self._serve(*newest)
            elif folders == {}:
                self._unload(self._current)
            if self._current is not None or (newest is None and folders is not None):
                self.first_tried.set()
            previous = newest
            self._stopped.wait(seconds)

    def stop(self) -> None:
        self._stopped.set()

    def _newest(self, folders: dict[int, Path]) -> tuple[Path, Fingerprint] | None:
        """The version to serve: the newest that has not failed to load with its current files."""
        for version in sorted(folders, reverse=True):
            fingerprint = _fingerprint(folders[version])
            if self._failed.get(version) != fingerprint:
                return folders[version], fingerprint
        return None

    def _serve(self, folder: Path, fingerprint: Fingerprint) -> None:
        previous, version = self._current, int(folder.name)
        if previous is not None and previous.version == version:
            return
        self._set_status(version, State.LOADING)
        log.info("loading version %d", version)
        start = time.monotonic()
        try:
            servable = Servable(folder, self.runtime)
        except Exception as error:  # OpenVINO raises several types
            self._failed[version] = fingerprint
            code, message = status_of(error)
            self._set_status(version, State.END, code, message)
            log.error("version %d cannot be loaded: %s", version, message)
            return
        self._current = servable
        self._set_status(version, State.AVAILABLE)
        log.info(
            "version %d available in %s after %.1f s, %d warm-up requests",
            version,
            servable.precision,
            time.monotonic() - start,
            servable.warm_up_requests,
        )
        self.on_change(True)
        self._unload(previous)

    def _unload(self, servable: Servable | None) -> None:
        """Stop serving a version; its requests in flight keep it in memory until they end."""
        if servable is not None:
            if servable is self._current:
                self._current = None
                self.on_change(False)
            self._set_status(servable.version, State.END)
            log.info("version %d unloaded", servable.version)
        del servable
        release_memory()

    def _set_status(
        self,
        version: int,
        state: State,
        code: grpc.StatusCode = grpc.StatusCode.OK,
        message: str = "",
    ) -> None:
        error = tf.StatusProto(error_code=code.name, error_message=message)
        self._statuses[version] = tf.ModelVersionStatus(version=version, state=state, status=error)


def _folders(base_path: Path) -> dict[int, Path]:
    """The versions' folders by number; of 1 and 01, the one that TensorFlow Serving takes."""
    names = sorted(folder.name for folder in base_path.iterdir() if folder.is_dir())
    return {int(name): base_path / name for name in names if re.fullmatch("[0-9]+", name)}


def _fingerprint(folder: Path) -> Fingerprint:
    """The path, size and time of change of each file in a folder."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return frozenset(
        (str(file.relative_to(folder)), file.stat().st_size, file.stat().st_mtime_ns)
        for file in files
    )
