"""A Python client that openapi-python-client generates from the API's description."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from gateway_testing.fake_serving import FakeServing
from gateway_testing.service import Service, gateway

BIN = Path(sys.executable).parent
PROGRAM = """
import io
import sys

import httpx
from generated import Client
from generated.api.predictions import predict, predictions
from generated.models import (
    Failure, ImageForm, ImagesForm, Prediction, PredictionList, Probabilities, Url, UrlList
)
from generated.models.boolean import Boolean
from generated.types import File

client = Client(base_url=sys.argv[1], timeout=httpx.Timeout(60))
with open(sys.argv[2], "rb") as file:
    image = File(io.BytesIO(file.read()), "image.jpg")

label = predict.sync(client=client, body=ImageForm(image=image))
assert label == "cricket", label
all_labels = predict.sync(
    client=client, body=ImageForm(image=image), show_probability=Boolean.TRUE
)
assert isinstance(all_labels, Probabilities)
assert len(all_labels.additional_properties) == 7

answer = predictions.sync(client=client, body=ImagesForm(image=[image, image]))
assert isinstance(answer, PredictionList)
for prediction in answer.predictions:
    assert isinstance(prediction, Prediction)
    text: str = prediction.label
    known: bool | None = prediction.known
    assert (text, known) == ("cricket", True)

answer = predictions.sync(client=client, body=UrlList(urls=["ftp://example.com/image.jpg"]))
assert isinstance(answer, PredictionList)
[failure] = answer.predictions
assert isinstance(failure, Failure)
assert failure.error.status == 422
"""
MYPY = """
[mypy]
strict = true
[mypy-httpx.*]
follow_imports = skip
"""  # reading httpx takes longer than all the rest


@pytest.fixture
def service(serving: FakeServing) -> Iterator[Service]:
    with gateway(serving.host) as service:
        yield service


def test_a_generated_client_works_and_its_types_are_right(
    service: Service, jpeg: bytes, tmp_path: Path
) -> None:
    description, image, program = (tmp_path / name for name in ("api.json", "i.jpg", "program.py"))
    description.write_bytes(requests.get(f"{service.url}/openapi.json", timeout=60).content)
    image.write_bytes(jpeg)
    program.write_text(PROGRAM)
    (tmp_path / "mypy.ini").write_text(MYPY)

    def run(*command: str) -> None:
        environ = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
        ended = subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr

    run(
        *("openapi-python-client", "generate", "--path", description.name),
        *("--meta", "none", "--output-path", "generated"),
    )
    run("mypy", program.name)
    run(sys.executable, program.name, service.url, image.name)
