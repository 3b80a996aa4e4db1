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


@dataclass(frozen=True)
class Stage:
    """A finished step of the work; times in seconds, the start on time.monotonic's clock."""

    name: str  # "fetch", "decode", "signature" or "predict"
    started: float
    seconds: float
    outcome: str  # "ok" or "error"


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
    """What has become of an image: a prediction, or an error."""

    image: ImageInput
    prediction: Prediction | None = None
    error: GatewayError | None = None
    digest: bytes = b""  # SHA-256 of the image's bytes, if there is a cache
    data: bytes = b""  # the image's bytes, if they are to be stored
    pixels: np.ndarray | None = None  # uint8 [height, width, 3]; None: not for the model
    stages: list[Stage] = field(default_factory=list)  # of the work on this image alone


@dataclass
class RequestRecord:
    """One request; times in seconds, on time.monotonic's clock."""

    request_id: str
    started: float
    deadline: float
    client: str = ""  # the digest of an API key, or an address
    outcomes: list[Outcome] = field(default_factory=list)  # one for each image, in their order
    stages: list[Stage] = field(default_factory=list)  # of the work on all images together
    problem: str = ""  # the slug of the problem that was answered
    headers: dict[str, str] = field(default_factory=dict)  # of the answer: the rate limit's
    cause: str = ""  # what happened inside, for the log only

    def predictions(self) -> list[Prediction | None]:
        """For each image; None: it could not be classified."""
        return [outcome.prediction for outcome in self.outcomes]

    def all_stages(self) -> list[Stage]:
        return [*(stage for outcome in self.outcomes for stage in outcome.stages), *self.stages]


def current_record() -> RequestRecord:
    """The record of the request that this thread works on."""
    record: RequestRecord = g.record
    return record
