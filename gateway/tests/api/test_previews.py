"""The small image that goes with an answer."""

import base64
import io
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from gateway_testing.fake_serving import FakeServing, sports_signatures
from gateway_testing.image_server import ImageServer
from PIL import Image

from api.checks import body
from api.conftest import Post


def size(preview: str) -> tuple[int, int]:
    kind, _, data = preview.partition(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return image.size


def test_a_preview_is_the_image_that_the_model_saw(
    client: FlaskClient, image_server: ImageServer, serving: FakeServing
) -> None:
    serving.signatures = sports_signatures(100, 120)
    urls = [image_server.url("/image.jpg"), image_server.url("/missing.jpg")]
    answer = body(client.post("/v1/predictions?preview=true", json={"urls": urls}))
    assert size(answer["predictions"][0]["preview"]) == (120, 100)
    assert "preview" not in answer["predictions"][1]


@pytest.mark.parametrize("query", ["", "?preview=false"])
def test_there_is_no_preview_unless_it_is_wanted(post: Post, query: str) -> None:
    assert "preview" not in body(post(f"/v1/predictions{query}"))["predictions"][0]


def test_a_cached_answer_has_a_preview_too(
    new_client: Callable[..., FlaskClient], serving: FakeServing, jpeg: bytes
) -> None:
    client = new_client(cache_entries=10)
    for _ in range(2):
        response = client.post("/v1/predictions?preview=1", data=jpeg, content_type="image/jpeg")
        assert body(response)["predictions"][0]["preview"]
    assert len(serving.requests) == 1
