"""Decodes strangers' images in processes of their own, so that a hostile file harms nobody else."""

import contextlib
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gateway.concurrency import FairLimit
from gateway.decoder import ANSWER, COMMAND, ERRORS, JOB, PIXELS, REPLY
from gateway.errors import DecodeTimeout, ImageTooExpensive, TooManyRequests, UnsupportedImage
from gateway.images import FORMAT_NAMES
from gateway.metrics import Metrics

MANY = 1_000_000  # the request slots limit how many wait
QUICK_SECONDS = 0.2  # of processor time; a JPEG of 30 megapixels takes less
TEMPLATE_SECONDS = 30.0  # to import Pillow on a busy machine, or to free a decoder's memory
MAX_ANSWER = 100_000_000  # bytes; the pixels of any model
# What the signals that end a decoder mean.
ENDS: dict[int, str] = {signal.SIGPROF: "processor time", signal.SIGKILL: "killed"}
COMMAND_LINE = (sys.executable, "-P", "-m", "gateway.decoder")
ENVIRONMENT = {
    "PYTHONPATH": str(Path(__file__).parents[1]),
    "OPENBLAS_NUM_THREADS": "1",  # its threads would take memory, and a fork loses them
    "MALLOC_MMAP_THRESHOLD_": "1048576",  # glibc gives an image's memory back at once
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lane:
    """Decoders with the same rights.

    Attributes:
        seconds: of processor time for an image.
        niceness: of the processes.
        slots: for images that are decoded at once.
        idle: decoders that wait for an image; the last one used is the next.
    """

    seconds: float
    niceness: int
    slots: FairLimit
    idle: "list[Decoder]" = field(default_factory=list)


class Decoders:
    """A pool of decoders: most images are decoded quickly; the others one by one, in background.

    An image that takes more than QUICK_SECONDS of processor time is started again in the second
    lane, so that expensive ones wait for each other and for nobody else. Processes are started
    when they are needed.

    Args:
        quick: how many images are decoded at once in the first lane.
        seconds: the most processor time that an image may take.
        waiting: the most images that wait for the second lane, half of them for one client.
    """

    def __init__(self, quick: int, seconds: float, waiting: int, metrics: Metrics) -> None:
        busy = "Too many images that are expensive to decode are waiting."
        self._quick = Lane(min(QUICK_SECONDS, seconds), 0, FairLimit(quick, MANY, busy))
        self._background = Lane(seconds, 19, FairLimit(1, waiting, busy))
        self._metrics = metrics
        self._template = Template()
        # Ends all processes: when called, when nothing refers to this object, or at the exit.
        self.close = weakref.finalize(self, _close, self._template, self._quick.idle)

    def decode(
        self, data: bytes, size: tuple[int, int], max_pixels: int, deadline: float, client: str
    ) -> np.ndarray:
        """Do what images.preprocess does, within limits of processor time and memory.

        Args:
            deadline: on time.monotonic's clock.
            client: who sent the image; clients take turns.

        Raises:
            ImageTooLarge, UnsupportedImage
            ImageTooExpensive: it takes too much processor time or memory.
            TooManyRequests: no decoder was free before the deadline.
            DecodeTimeout: the deadline passed.
        """
        for lane in (self._quick, self._background):
            with lane.slots.acquire(client, deadline):
                job = JOB.pack(*size, max_pixels, lane.seconds, len(data)) + data
                answer = self._run(job, lane, deadline)
            if answer is not None:
                return _pixels(*answer, size)
        raise ImageTooExpensive("Decoding the image takes too much processor time.")

    def start(self) -> None:
        """Start what the first image would have to wait for."""
        self._quick.idle.append(self._template.fork(self._quick.niceness))

    def _run(self, job: bytes, lane: Lane, deadline: float) -> tuple[int, bytearray] | None:
        """Give a decoder a job; without an answer, it was too expensive for the lane."""
        decoder = lane.idle.pop() if lane.idle else self._template.fork(lane.niceness)
        try:
            answer = decoder.answer(job, deadline)
        except TimeoutError as error:
            self._end(decoder, "deadline")
            raise DecodeTimeout("The image was not decoded before the deadline.") from error
        except OSError as error:  # it has died
            number = self._end(decoder)
            if number in (signal.SIGPROF, signal.SIGKILL):  # SIGKILL: the system lacks memory
                return None
            raise UnsupportedImage(f"The image is not a readable {FORMAT_NAMES} file.") from error
        if lane.niceness:  # which only root could take back
            self._template.end(decoder)
        else:
            lane.idle.append(decoder)
        return answer

    def _end(self, decoder: "Decoder", reason: str = "") -> int:
        """End a decoder, or find out what ended it: the number of a signal."""
        number = self._template.end(decoder)
        reason = reason or ENDS.get(number, "crash")
        self._metrics.decoders_ended.labels(reason).inc()
        log.warning("a decoder ended: %s (signal %d)", reason, number)
        return number


@dataclass(frozen=True)
class Decoder:
    """One process that decodes, and the connection to it."""

    pid: int
    connection: socket.socket
    template: "subprocess.Popen[bytes] | None"  # its parent

    def answer(self, job: bytes, deadline: float) -> tuple[int, bytearray]:
        """Send a job and wait for its answer.

        Raises:
            TimeoutError: the deadline passed; on time.monotonic's clock.
            OSError: the process has died.
        """
        self.connection.settimeout(max(0.001, deadline - time.monotonic()))
        self.connection.sendall(job)
        kind, length = ANSWER.unpack(self._receive(ANSWER.size, deadline))
        if length > MAX_ANSWER:
            raise ConnectionError("the decoder's answer is too long")
        return kind, self._receive(length, deadline)

    def _receive(self, length: int, deadline: float) -> bytearray:
        received = bytearray(length)
        left = memoryview(received)
        while left:
            self.connection.settimeout(max(0.001, deadline - time.monotonic()))
            count = self.connection.recv_into(left)
            if not count:
                raise ConnectionError("the decoder closed the connection")
            left = left[count:]
        return received


class Template:
    """The process that forks decoders; started when it is first needed, and again if it dies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def fork(self, niceness: int) -> Decoder:
        """Start a decoder.

        Raises:
            TooManyRequests: the system has no room for another process.
        """
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            try:
                if self._process is None or self._process.poll() is not None:
                    self._start()
                pid = self._command(0, niceness, theirs.fileno())
            except OSError as error:
                ours.close()
                raise TooManyRequests("No further image can be decoded now.") from error
            return Decoder(pid, ours, self._process)

    def end(self, decoder: Decoder) -> int:
        """End a decoder; returns the number of the signal that ended it, perhaps before."""
        decoder.connection.close()
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


def _close(template: Template, idle: list[Decoder]) -> None:
    template.close()
    for decoder in idle:
        decoder.connection.close()


def _pixels(kind: int, body: bytearray, size: tuple[int, int]) -> np.ndarray:
    """The pixels in a decoder's answer; a decoder is not trusted.

    Raises:
        GatewayError: the decoder answered with one.
    """
    if kind == PIXELS:
        return np.frombuffer(body, np.uint8).reshape(*size, 3)
    detail, _, cause = body.decode(errors="replace").partition("\n")
    raise ERRORS[(kind - 1) % len(ERRORS)](detail) from (RuntimeError(cause) if cause else None)
