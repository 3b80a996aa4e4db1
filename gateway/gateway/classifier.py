"""From the images of a request to the model's predictions."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from gateway.cache import Cache
from gateway.concurrency import ConcurrencyLimit
from gateway.config import Settings
from gateway.decoders import Decoders
from gateway.errors import ExplainUnsupported, GatewayError, ModelFailed, release_frames
from gateway.fetcher import Fetcher
from gateway.images import resize
from gateway.metrics import Metrics
from gateway.model_client import ModelClient
from gateway.records import Outcome, RequestRecord, timed
from gateway.request_images import ImageInput
from gateway.signatures import Prediction, Signature


@dataclass(frozen=True)
class Wanted:
    """What an answer has besides the predictions."""

    explain: bool = False  # heat maps
    preview: bool = False  # the pixels
    data: bool = False  # the images' bytes


@dataclass(frozen=True)
class Classifier:
    """Fetches and decodes images and asks the model, within the limits of the settings."""

    settings: Settings
    fetcher: Fetcher
    model: ModelClient
    metrics: Metrics
    image_limit: ConcurrencyLimit  # images whose bytes are in memory
    decoders: Decoders
    cache: Cache | None

    def classify(
        self, images: list[ImageInput], record: RequestRecord, wanted: Wanted
    ) -> list[Outcome]:
        """Fetch the images in parallel and send those that could be read to the model at once.

        An image that the cache knows is not sent.

        Args:
            record: of the request; its `outcomes` and `stages` are filled in, also on failure.
            wanted: besides the predictions.

        Returns:
            An outcome for each image, in their order.

        Raises:
            ExplainUnsupported: the model has no heat maps.
            ModelUnavailable, ModelTimeout, ModelFailed
        """
        record.outcomes = [Outcome(image) for image in images]
        signature = self._signature(record)
        if wanted.explain and not signature.explains:
            raise ExplainUnsupported("This model cannot explain its answers.")
        load = partial(self._load_image, signature=signature, record=record, wanted=wanted)
        if len(images) == 1:
            load(record.outcomes[0])
        else:
            with ThreadPoolExecutor(len(images), thread_name_prefix="image") as pool:
                list(pool.map(load, record.outcomes))
        loaded = [
            outcome
            for outcome in record.outcomes
            if outcome.pixels is not None and outcome.prediction is None
        ]
        if loaded:
            with timed("predict", record.stages):
                predictions = self._predict(loaded, signature, record, wanted.explain)
            for outcome, prediction in zip(loaded, predictions, strict=True):
                outcome.prediction = prediction
                if self.cache is not None:
                    self.cache.store(outcome.digest, wanted.explain, prediction)
            self.metrics.set_model(self.settings.model_name, predictions[0].version)
        return record.outcomes

    def _signature(self, record: RequestRecord) -> Signature:
        if signature := self.model.known_signature:
            return signature
        with timed("signature", record.stages):
            return self.model.signature(record.deadline)

    def _load_image(
        self, outcome: Outcome, signature: Signature, record: RequestRecord, wanted: Wanted
    ) -> None:
        """Fetch and decode an image; its error, or its prediction from the cache, is noted."""
        image, deadline, most = outcome.image, record.deadline, self.settings.max_image_pixels
        try:
            with self.image_limit.acquire(deadline):
                with timed("fetch", outcome.stages):
                    data = image.data
                    if data is None:
                        data = self.fetcher.download(image.source, deadline)
                self.metrics.received_bytes.inc(len(data))
                outcome.data = data if wanted.data else b""
                if self.cache is not None:
                    outcome.digest = hashlib.sha256(data).digest()
                    outcome.prediction = self.cache.find(
                        outcome.digest, signature.version, wanted.explain
                    )
                    self.metrics.cache.labels("hit" if outcome.prediction else "miss").inc()
                if outcome.prediction is None or wanted.preview:
                    with timed("decode", outcome.stages):
                        outcome.pixels = self.decoders.decode(
                            data, signature.size, most, deadline, record.client
                        )
        except GatewayError as error:
            outcome.error = error
            release_frames(error)

    def _predict(
        self, outcomes: list[Outcome], signature: Signature, record: RequestRecord, explain: bool
    ) -> list[Prediction]:
        predict = partial(
            self.model.predict,
            deadline=record.deadline,
            explain=explain,
            request_id=record.request_id,
        )
        images = [outcome.pixels for outcome in outcomes if outcome.pixels is not None]
        try:
            return predict(images, signature)
        except ModelFailed:  # has the model been replaced by one with another signature?
            fresh = self.model.signature(record.deadline)
            if fresh == signature or (explain and not fresh.explains):
                raise
            # The bytes are gone; for this one request the pixels are resized once more.
            return predict([resize(image, fresh.size) for image in images], fresh)
