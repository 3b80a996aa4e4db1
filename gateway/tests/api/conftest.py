from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

Post = Callable[..., TestResponse]


@pytest.fixture
def post(client: FlaskClient, jpeg: bytes) -> Post:
    """Posts an image as the request's body."""

    def post(path: str = "/predict", data: bytes = jpeg, **options: Any) -> TestResponse:
        return client.post(path, **{"data": data, "content_type": "image/jpeg", **options})

    return post
