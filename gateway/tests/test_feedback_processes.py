"""Feedback taken by several workers, one of which is killed meanwhile."""

import hashlib
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import requests
from gateway_testing.fake_serving import SPORTS, FakeServing
from gateway_testing.service import gateway
from gateway_testing.waiting import wait_for

from gateway.feedback import FeedbackStore

POSTS = int(os.environ.get("FEEDBACK_POSTS", "160"))
WORKERS = int(os.environ.get("FEEDBACK_WORKERS", "2"))


def test_nothing_is_lost_or_doubled_when_a_worker_is_killed(
    serving: FakeServing, jpeg: bytes, tmp_path: Path
) -> None:
    folder = tmp_path / "feedback"
    # Each image is sent twice; what follows a JPEG's end makes its hash another one.
    images = [jpeg + str(number // 2).encode() for number in range(POSTS)]
    accepted: set[str] = set()
    answered = itertools.count()

    with gateway(serving.host, WORKERS, GATEWAY_FEEDBACK_FOLDER=str(folder)) as service:
        url = f"{service.url}/v1/feedback"

        def send(image: bytes) -> None:
            digest = hashlib.sha256(image).hexdigest()
            label = SPORTS[int(digest, 16) % len(SPORTS)]
            for _ in range(1000):
                try:
                    response = requests.post(
                        url,
                        image,
                        params={"label": label},
                        headers={"Content-Type": "image/jpeg"},
                        timeout=60,
                    )
                except requests.ConnectionError:
                    continue  # the worker was killed; nothing was promised
                if response.status_code == 202:
                    accepted.add(f"{label}/{digest}.jpg")
                    next(answered)
                    return
                assert response.status_code == 429, response.text

        with ThreadPoolExecutor(2 * WORKERS) as pool:
            sending = [pool.submit(send, image) for image in images]
            wait_for(lambda: len(accepted) > POSTS / 6, 300)
            workers = psutil.Process(service.process.pid).children()
            workers[0].kill()
            for sent in sending:
                sent.result()

    assert next(answered) == POSTS
    labels = folder / "labels"
    found = [file.relative_to(labels) for file in labels.rglob("*.jpg")]
    assert sorted(map(str, found)) == sorted(accepted)
    assert len(accepted) == POSTS / 2
    assert all(hashlib.sha256((labels / f).read_bytes()).hexdigest() == f.stem for f in found)
    counted = (folder / ".lock").read_bytes()
    FeedbackStore(folder, 10**9).close()  # counts anew
    assert (folder / ".lock").read_bytes() == counted
