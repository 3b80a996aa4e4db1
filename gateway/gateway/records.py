"""The record of a request: metrics, log line and trace all come from it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from flask import g

from gateway.errors import GatewayError
from gateway.request_images import ImageInput
from gateway.signatures import Prediction


@dataclass(frozen=True, eq=False)
class Stage:
    """A finished step of the work.

    Attributes:
        name: "fetch", "decode", "signature" or "predict".
        started: on time.monotonic's clock.
        seconds: how long it took.
        outcome: "ok" or "error".
    """

    name: str
    started: float
    seconds: float
    outcome: str


@contextmanager
def timed(name: str, stages: list[Stage]) -> Iterator[None]:
    """Add the block to `stages` when it ends, whether it succeeds or fails."""
    started, outcome = time.monotonic(), "error"
    try:
        yield
        outcome = "ok"
    finally:
        stages.append(Stage(name, started, time.monotonic() - started, outcome))


@dataclass
class Outcome:
    """What has become of an image: a prediction, or an error.

    Attributes:
        digest: SHA-256 of the image's bytes, the key of the answer cache; empty without a cache.
        pixels: uint8 array [height, width, 3] for the model; None if it is not to be asked.
        stages: the steps of the work on this image alone.
    """

    image: ImageInput
    prediction: Prediction | None = None
    error: GatewayError | None = None
    digest: bytes = b""
    pixels: np.ndarray | None = None
    stages: list[Stage] = field(default_factory=list)


@dataclass
class RequestRecord:
    """One request.

    Attributes:
        request_id: the caller's X-Request-ID, or a new one.
        started: on time.monotonic's clock.
        deadline: when to give up, on the same clock.
        client: the digest of an API key, or an address.
        outcomes: one for each image, in their order.
        stages: the steps of the work on all images together.
        problem: the slug of the problem answered, if one was.
        cause: the reason behind the problem, for the log only.
    """

    request_id: str
    started: float
    deadline: float
    client: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    problem: str = ""
    cause: str = ""

    def all_stages(self) -> list[Stage]:
        return [*(stage for outcome in self.outcomes for stage in outcome.stages), *self.stages]


def current_record() -> RequestRecord:
    """The record of the request that this thread works on."""
    record: RequestRecord = g.record
    return record
