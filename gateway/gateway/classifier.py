"""From the pictures of a request to what the model says about them."""

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from gateway.cache import Cache
from gateway.config import Settings
from gateway.errors import GatewayError, InvalidRequest, ModelFailed, forget_frames
from gateway.fetcher import Fetcher
from gateway.images import preprocess
from gateway.metrics import Metrics
from gateway.pictures import Picture
from gateway.serving import Model
from gateway.shares import Shares
from gateway.signatures import Prediction, Signature


@dataclass(frozen=True)
class Stage:
    """A step of the work on a picture; times in seconds, the start on time.monotonic's clock."""

    name: str
    began: float
    seconds: float


@dataclass
class Outcome:
    """What has become of a picture: a prediction, or the error that it met."""

    picture: Picture
    prediction: Prediction | None = None
    error: GatewayError | None = None
    digest: bytes = b""  # of the picture's bytes, for the cache
    stages: list[Stage] = field(default_factory=list)


@dataclass(frozen=True)
class Classifier:
    """Fetches, decodes and asks, within the limits of the settings."""

    settings: Settings
    fetcher: Fetcher
    model: Model
    metrics: Metrics
    downloads: Shares  # at once
    pixels: Shares  # decoded at once
    cache: Cache | None

    def classify(
        self, pictures: list[Picture], deadline: float, explain: bool = False, request_id: str = ""
    ) -> list[Outcome]:
        """Fetch the pictures side by side and ask the model once about all that could be read.

        A picture that the cache knows is not asked about.

        Args:
            deadline: when to give up, on time.monotonic's clock.
            explain: ask for heat maps too.

        Returns:
            An outcome for each picture, in their order.

        Raises:
            InvalidRequest: the model cannot explain.
            ModelUnavailable, ModelTimeout, ModelFailed
        """
        signature = self.model.signature(deadline)
        try:
            return self._ask(pictures, signature, deadline, explain, request_id)
        except ModelFailed:  # was the model swapped for one that takes something else?
            fresh = self.model.signature(deadline)
            if fresh == signature:
                raise
            return self._ask(pictures, fresh, deadline, explain, request_id)

    def _ask(
        self,
        pictures: list[Picture],
        signature: Signature,
        deadline: float,
        explain: bool,
        request_id: str,
    ) -> list[Outcome]:
        if explain and not signature.explains:
            raise InvalidRequest("This model cannot explain its answers.")
        outcomes = [Outcome(picture) for picture in pictures]
        read = partial(self._read, signature=signature, deadline=deadline, explain=explain)
        images = [image for image in _side_by_side(read, outcomes) if image is not None]
        if not images:
            return outcomes
        asked = [outcome for outcome in outcomes if not (outcome.error or outcome.prediction)]
        began = time.monotonic()
        predictions = self.model.predict(
            images, signature, deadline, explain=explain, request_id=request_id
        )
        stage = self._stage("predict", began)
        for outcome, prediction in zip(asked, predictions, strict=True):
            outcome.prediction = prediction
            outcome.stages.append(stage)
            if self.cache is not None:
                self.cache.keep(outcome.digest, explain, prediction)
        self.metrics.answered_by(self.settings.model_name, predictions[0].version)
        return outcomes

    def _read(
        self, outcome: Outcome, signature: Signature, deadline: float, explain: bool
    ) -> np.ndarray | None:
        """Fetch and decode a picture; an error or a prediction from the cache stays with it."""
        most = self.settings.max_image_pixels
        reserve = partial(self.pixels.take, deadline=deadline)
        try:
            with self.downloads.take(1, deadline):  # the bytes go before the next ones come
                began = time.monotonic()
                data = outcome.picture.data
                if data is None:
                    data = self.fetcher.download(outcome.picture.source, deadline)
                self.metrics.received_bytes.inc(len(data))
                outcome.stages.append(self._stage("fetch", began))
                if self._recall(outcome, data, signature.version, explain):
                    return None
                began = time.monotonic()
                image = preprocess(data, signature.size, most, reserve)
                outcome.stages.append(self._stage("decode", began))
        except GatewayError as error:
            outcome.error = error
            forget_frames(error)
            return None
        return image

    def _recall(self, outcome: Outcome, data: bytes, version: int, explain: bool) -> bool:
        """Whether there is a cache and it knows what this version said of the picture."""
        if self.cache is None:
            return False
        outcome.digest = hashlib.sha256(data).digest()
        outcome.prediction = self.cache.find(outcome.digest, version, explain)
        found = outcome.prediction is not None
        self.metrics.cache.labels("hit" if found else "miss").inc()
        return found

    def _stage(self, name: str, began: float) -> Stage:
        stage = Stage(name, began, time.monotonic() - began)
        self.metrics.stage_seconds.labels(name).observe(stage.seconds)
        return stage


def _side_by_side(
    read: Callable[[Outcome], np.ndarray | None], outcomes: list[Outcome]
) -> list[np.ndarray | None]:
    if len(outcomes) == 1:
        return [read(outcomes[0])]
    with ThreadPoolExecutor(len(outcomes), thread_name_prefix="picture") as pool:
        return list(pool.map(read, outcomes))
