"""The second stage: what each image shows, computed as the embedded model server does."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gateway.config import Settings
from gateway.decoders import Decoders
from gateway.errors import DecoderUnavailable, GatewayError
from gateway.images import scale
from gateway.metrics import Metrics
from gateway.signatures import Prediction, Signature
from gateway.tf_serving_client import specs
from model_server.networks import Compiler, Networks
from model_server.precision import choose
from model_server.saved_model import DEFAULT_SIGNATURE, read_signatures
from sports_bulk.predictions import Outcome, columns, prediction_schema

CACHE = Path("~/.cache/sports-bulk").expanduser()  # of compiled networks, for the next start
AT_ONCE = 4  # images in a computation; the embedded server's number
DECODE_SECONDS = 300.0  # on the clock; the settings limit the processor time


class Model:
    """The default signature of a version, on one thread.

    Args:
        folder: of the version.
        precision: "auto", "int8", "bf16" or "fp32".
    """

    def __init__(self, folder: Path, precision: str, settings: Settings) -> None:
        definition = read_signatures(folder)[DEFAULT_SIGNATURE]
        CACHE.mkdir(parents=True, exist_ok=True)
        compiler = Compiler(choose(precision, folder), threads=1, cache=CACHE)
        self._infer = Networks(folder, compiler).compile(definition)
        inputs, outputs = specs(definition.inputs), specs(definition.outputs)
        self.signature = Signature.from_specs(
            int(folder.name), inputs, outputs, settings.labels, explains=False
        )
        blank = np.zeros((1, *self.signature.size, 3), np.uint8)
        self.labels = tuple(self.predict(blank)[0].probabilities)
        self._max_pixels = settings.max_image_pixels
        # In processes of their own, as in the gateway: a hostile file must not end the job.
        self._decoders = Decoders(1, settings.decode_seconds, 1, Metrics())

    def predict(self, images: np.ndarray) -> list[Prediction]:
        """What images show, uint8 [N, height, width, 3]."""
        signature = self.signature
        pixels = images if signature.dtype == "uint8" else scale(images)
        outputs = self._infer({signature.input: pixels})
        return signature.parse_outputs(outputs, len(images), signature.version)

    def classify(self, files: list[bytes]) -> list[Outcome]:
        """What image files show, or why they cannot be read.

        Raises:
            DecoderUnavailable: this machine cannot start the processes that decode.
        """
        decoded = [self._decode(data) for data in files]
        good = [pixels for pixels in decoded if isinstance(pixels, np.ndarray)]
        predictions = iter(self.predict(np.stack(good)) if good else [])
        return [
            pixels if isinstance(pixels, GatewayError) else next(predictions) for pixels in decoded
        ]

    def _decode(self, data: bytes) -> np.ndarray | GatewayError:
        deadline = time.monotonic() + DECODE_SECONDS
        try:
            return self._decoders.decode(
                data, self.signature.size, self._max_pixels, deadline, client=""
            )
        except DecoderUnavailable:  # not the image's fault
            raise
        except GatewayError as error:
            return error


class Classifier:
    """Replaces the images' bytes by what they show. Loads the model once."""

    def __init__(self, folder: str, precision: str, settings: Settings) -> None:
        self._model = Model(Path(folder), precision, settings)
        self.schema = prediction_schema(self._model.labels)

    def __call__(self, batch: Any) -> Any:
        """Classify one part.

        Args:
            batch: a table as Fetch returns it.

        Returns:
            A table with the columns of `prediction_schema`.
        """
        rows = batch.drop_columns(["data"]).to_pylist()
        data = batch.column("data")
        fetched = [index for index in range(len(rows)) if data[index].is_valid]
        for start in range(0, len(fetched), AT_ONCE):
            chunk = fetched[start : start + AT_ONCE]
            outcomes = self._model.classify([data[index].as_py() for index in chunk])
            for index, outcome in zip(chunk, outcomes, strict=True):
                rows[index] |= columns(outcome)
        return pa.Table.from_pylist(rows, self.schema)
