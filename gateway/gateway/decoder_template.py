"""Starts the processes that decode images, and talks to them; decoder.py is what they run."""

import contextlib
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gateway.decoder import ANSWER, COMMAND, REPLY, SHARED_BYTES
from gateway.errors import DecoderUnavailable

TEMPLATE_SECONDS = 30.0  # to import Pillow on a busy machine, or to free a decoder's memory
COMMAND_LINE = (sys.executable, "-P", "-m", "gateway.decoder")
ENVIRONMENT = {
    "PYTHONPATH": str(Path(__file__).parents[1]),
    "OPENBLAS_NUM_THREADS": "1",  # its threads would take memory, and a fork loses them
    # Up to 16 MB are kept for the next image: to get them anew costs a millisecond. More is
    # given back to the system at once.
    "MALLOC_MMAP_THRESHOLD_": "16777216",
    "MALLOC_TRIM_THRESHOLD_": "16777216",
}


@dataclass(frozen=True)
class Decoder:
    """One process that decodes, the connection to it, and the memory that it writes answers to."""

    pid: int
    connection: socket.socket
    memory: mmap.mmap
    template: "subprocess.Popen[bytes] | None"  # its parent

    def answer(self, job: bytes, deadline: float) -> tuple[int, bytes]:
        """Send a job and wait for its answer.

        Raises:
            TimeoutError: the deadline passed; on time.monotonic's clock.
            OSError: the process has died.
        """
        self.connection.settimeout(max(0.001, deadline - time.monotonic()))
        self.connection.sendall(job)
        self.connection.settimeout(max(0.001, deadline - time.monotonic()))
        received = self.connection.recv(ANSWER.size)
        if len(received) < ANSWER.size:
            raise ConnectionError("the decoder closed the connection")
        kind, length = ANSWER.unpack(received)
        return kind, self.memory[:length]

    def close(self) -> None:
        self.connection.close()
        self.memory.close()


class Template:
    """The process that forks decoders; started when it is first needed, and again if it dies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def fork(self, niceness: int) -> Decoder:
        """Start a decoder.

        Raises:
            DecoderUnavailable: it does not start; the system has no room, for instance.
        """
        ours, theirs = socket.socketpair()
        with theirs, _memory_file() as file, self._lock:
            try:
                if self._process is None or self._process.poll() is not None:
                    self._start()
                pid = self._command(0, niceness, theirs.fileno(), file.fileno())
            except OSError as error:
                ours.close()
                raise DecoderUnavailable("No image can be decoded now.") from error
            memory = mmap.mmap(file.fileno(), SHARED_BYTES, access=mmap.ACCESS_READ)
            return Decoder(pid, ours, memory, self._process)

    def end(self, decoder: Decoder) -> int:
        """End a decoder; returns the number of the signal that ended it, perhaps before."""
        decoder.close()
        with self._lock:
            if decoder.template is self._process:
                with contextlib.suppress(OSError):
                    return self._command(decoder.pid, 0)
        return signal.SIGKILL  # the template has died, and its decoders with it

    def close(self) -> None:
        """End the template and all its decoders."""
        with self._lock:
            self._stop()

    def _start(self) -> None:
        self._stop()
        self._control, theirs = socket.socketpair()
        self._control.settimeout(TEMPLATE_SECONDS)
        with theirs:
            self._process = subprocess.Popen(COMMAND_LINE, stdin=theirs.fileno(), env=ENVIRONMENT)

    def _stop(self) -> None:
        if self._process is not None and self._control is not None:
            self._control.close()
            self._process.kill()
            self._process.wait()
            self._process = None

    def _command(self, pid: int, niceness: int, *descriptors: int) -> int:
        assert self._control is not None
        try:
            socket.send_fds(self._control, [COMMAND.pack(pid, niceness)], descriptors)
            reply = self._control.recv(REPLY.size)
            if not reply:
                raise ConnectionError("the template of the decoders has died")
        except OSError:
            self._stop()
            raise
        [number] = REPLY.unpack(reply)
        return int(number)


def _memory_file() -> BinaryIO:
    """A file without a name, of SHARED_BYTES that take no memory until they are written."""
    if sys.platform == "linux":
        file: BinaryIO = os.fdopen(os.memfd_create("pixels"), "r+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115
    file.truncate(SHARED_BYTES)
    return file
