"""The model server's client: pixels in, predictions out."""

import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from gateway.config import Settings
from gateway.errors import ModelFailed, TooManyRequests
from gateway.images import scale
from gateway.model_channel import ModelChannel
from gateway.open_inference_client import OpenInferenceClient
from gateway.signatures import Prediction, Signature, Tensors
from gateway.tf_serving_client import TFServingClient

PROTOCOLS: dict[str, type[TFServingClient] | type[OpenInferenceClient]] = {
    "tf-serving": TFServingClient,
    "open-inference": OpenInferenceClient,
}
VERSION_SECONDS = 5.0  # how often to read the signature of a server that does not name the version


class ProtocolClient(Protocol):
    """One file a protocol; `deadline` is on time.monotonic's clock, errors are the channel's."""

    def signature(self, labels: tuple[str, ...], deadline: float) -> Signature:
        """Read the model's inputs and outputs; `labels` are those of the settings."""

    def infer(
        self,
        images: Sequence[np.ndarray],
        signature: Signature,
        deadline: float,
        explain: bool,
        request_id: str,
    ) -> tuple[Tensors, int]:
        """Compute a batch: the outputs, and the version that did it (0: the server names none)."""

    def check_available(self, deadline: float) -> None:
        """Return if the model can be asked."""


class ModelClient:
    """Asks the model server, in the terms of the model's own signature."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        protocol = PROTOCOLS[settings.model_protocol]
        self._channel = ModelChannel(settings.tf_serving_host, protocol.services)
        self._client: ProtocolClient = protocol(self._channel, settings.model_name)
        self._signature: Signature | None = None
        self._signature_read_at = 0.0  # on time.monotonic's clock
        self._labels: tuple[Signature, tuple[str, ...]] | None = None

    @property
    def known_signature(self) -> Signature | None:
        """The model's signature, if it has been read."""
        return self._signature

    def signature(self, deadline: float) -> Signature:
        """The model's inputs and outputs; read once, and again when the version changes.

        Raises:
            ModelUnavailable, ModelTimeout, ModelFailed, TooManyRequests
        """
        signature = self._signature
        if signature is None:
            signature = self._client.signature(self._settings.labels, deadline)
            self._signature, self._signature_read_at = signature, time.monotonic()
        return signature

    def labels(self, deadline: float) -> tuple[str, ...]:
        """The model's labels. A model that returns them is asked about a blank image, once.

        Raises:
            ModelUnavailable, ModelTimeout, ModelFailed, TooManyRequests
        """
        signature = self.signature(deadline)
        if signature.labels:
            return signature.labels
        if self._labels is None or self._labels[0] != signature:
            blank = np.full((*signature.size, 3), 255, np.uint8)
            [prediction] = self.predict([blank], signature, deadline)
            self._labels = signature, tuple(prediction.probabilities)
        return self._labels[1]

    def predict(
        self,
        images: Sequence[np.ndarray],
        signature: Signature,
        deadline: float,
        *,
        explain: bool = False,
        request_id: str = "",
    ) -> list[Prediction]:
        """Classify a batch.

        Args:
            images: N uint8 arrays [height, width, 3], RGB, of the signature's size.
            signature: what `signature()` returned.
            deadline: when to give up, on time.monotonic's clock.
            explain: ask for heat maps, too.
            request_id: sent as gRPC metadata.

        Returns:
            N predictions.

        Raises:
            ModelUnavailable, ModelTimeout
            ModelFailed: also when the signature is no longer the model's.
            TooManyRequests: the model server is busy.
        """
        if signature.dtype == "float32":
            images = list(scale(np.stack(images)))
        try:
            outputs, version = self._client.infer(images, signature, deadline, explain, request_id)
            if self._is_outdated(signature, version):
                self._signature = None
            return signature.parse_outputs(outputs, len(images), version or signature.version)
        except ModelFailed:
            self._signature = None
            raise

    def _is_outdated(self, signature: Signature, version: int) -> bool:
        """Whether to read the signature again after an answer of this version; 0: unknown."""
        if version and signature.version:
            return version != signature.version
        return time.monotonic() - self._signature_read_at > VERSION_SECONDS

    def check_available(self, deadline: float) -> None:
        """Return if the model can be asked; a busy server is no reason to ask another gateway.

        Raises:
            ModelUnavailable, ModelTimeout, ModelFailed: it cannot; the text says why.
        """
        try:
            self._client.check_available(deadline)
            self.signature(deadline)
        except TooManyRequests:
            pass

    def close(self) -> None:
        self._channel.close()
