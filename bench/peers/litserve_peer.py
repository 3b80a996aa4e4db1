"""LitServe with batching, as its documentation shows it."""

import sys
from concurrent.futures import ThreadPoolExecutor

import litserve
import numpy as np

from model import Model, fetch


class Classifier(litserve.LitAPI):
    def setup(self, device: str) -> None:  # noqa: ARG002
        self.model = Model()
        self.pool = ThreadPoolExecutor(8)

    # LitServe would take annotations of these two as the types of request and response.
    def decode_request(self, request):  # type: ignore[no-untyped-def]
        return request["url"]

    def encode_response(self, label):  # type: ignore[no-untyped-def]
        return {"label": label}

    def batch(self, urls: list[str]) -> np.ndarray:
        return np.stack(list(self.pool.map(fetch, urls)))

    def predict(self, images: np.ndarray) -> list[str]:
        return self.model.labels(images)

    def unbatch(self, labels: list[str]) -> list[str]:
        return labels


if __name__ == "__main__":
    api = Classifier(max_batch_size=8, batch_timeout=0.01)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=60)
    server.run(port=int(sys.argv[1]), host="127.0.0.1", generate_client_file=False)
