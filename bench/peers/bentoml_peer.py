"""BentoML with adaptive batching, as its documentation shows it."""

import asyncio

import bentoml
import numpy as np

from model import Model, fetch


@bentoml.service(workers=1, traffic={"timeout": 60})
class Classifier:
    def __init__(self) -> None:
        self.model = Model()

    @bentoml.api(batchable=True, max_batch_size=16, max_latency_ms=10_000)
    def classify(self, images: np.ndarray) -> list[str]:
        return self.model.labels(images.astype(np.uint8))


@bentoml.service(workers=1, traffic={"timeout": 60})
class Gateway:
    classifier = bentoml.depends(Classifier)

    @bentoml.api
    async def predict(self, url: str) -> str:
        image = await asyncio.to_thread(fetch, url)
        labels: list[str] = await self.classifier.to_async.classify(image[None])
        return labels[0]
