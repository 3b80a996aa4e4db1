"""Decodes strangers' images in processes of their own, so that a hostile file harms nobody else."""

import logging
import signal
import weakref
from dataclasses import dataclass, field

import numpy as np

from gateway.concurrency import FairLimit
from gateway.decoder import ERRORS, JOB, PIXELS
from gateway.decoder_template import Decoder, Template
from gateway.errors import (
    DecoderUnavailable,
    DecodeTimeout,
    ImageTooExpensive,
    UnsupportedImage,
)
from gateway.images import FORMAT_NAMES
from gateway.metrics import Metrics

MANY = 1_000_000  # the request slots limit how many wait
QUICK_SECONDS = 0.2  # of processor time; a JPEG of 30 megapixels takes less
BACKGROUND_NICENESS = 19
# What the signals that end a decoder mean.
ENDS: dict[int, str] = {signal.SIGPROF: "processor time", signal.SIGKILL: "killed"}

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
    idle: list[Decoder] = field(default_factory=list)


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
        busy = "The image was not decoded in time: too many are waiting."
        expensive = "Too many images that are expensive to decode are waiting."
        self._quick = Lane(min(QUICK_SECONDS, seconds), 0, FairLimit(quick, MANY, busy))
        self._background = Lane(seconds, BACKGROUND_NICENESS, FairLimit(1, waiting, expensive))
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
            DecoderUnavailable: no decoder can be started.
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

    def _run(self, job: bytes, lane: Lane, deadline: float) -> tuple[int, bytes] | None:
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
            if not number:  # no file ends a decoder like this: it could not start
                raise DecoderUnavailable("No image can be decoded now.") from error
            raise UnsupportedImage(f"The image is not a readable {FORMAT_NAMES} file.") from error
        if lane.niceness:  # which only root could take back
            self._template.end(decoder)
        else:
            lane.idle.append(decoder)
        return answer

    def _end(self, decoder: Decoder, reason: str = "") -> int:
        """End a decoder, or find out what ended it: the number of a signal."""
        number = self._template.end(decoder)
        reason = reason or ENDS.get(number, "crash")
        self._metrics.decoders_ended.labels(reason).inc()
        log.warning("a decoder ended: %s (signal %d)", reason, number)
        return number


def _close(template: Template, idle: list[Decoder]) -> None:
    template.close()
    for decoder in idle:
        decoder.close()


def _pixels(kind: int, body: bytes, size: tuple[int, int]) -> np.ndarray:
    """The pixels in a decoder's answer; a decoder is not trusted.

    Raises:
        GatewayError: the decoder answered with one.
    """
    if kind == PIXELS:
        return np.frombuffer(body, np.uint8).reshape(*size, 3)
    detail, _, cause = body.decode(errors="replace").partition("\n")
    raise ERRORS[(kind - 1) % len(ERRORS)](detail) from (RuntimeError(cause) if cause else None)
