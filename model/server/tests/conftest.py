from collections.abc import Iterator
from pathlib import Path

import pytest
from server_models import MODELS
from serving_client import LocalClient, serve


@pytest.fixture(scope="session")
def models() -> Path:
    """The folders of models that server_models.py has written."""
    return MODELS


@pytest.fixture(scope="session")
def client(models: Path) -> Iterator[LocalClient]:
    """A server of the model with several signatures, without batching."""
    with serve(models / "signatures") as client:
        client.wait_for_version(1)
        yield client
