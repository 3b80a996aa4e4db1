import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_models import write_model
from serving_client import LocalClient, serve

# The server collects garbage after each load; that is faster without the objects of the imports.
gc.freeze()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1 and 2 of a model, for tests to copy."""
    folder = tmp_path_factory.mktemp("models")
    for version in (1, 2):
        write_model(folder, version, ["serving_default", "unbatched"])
    return folder


@pytest.fixture(scope="session")
def all_signatures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 of a model with all signatures."""
    return write_model(tmp_path_factory.mktemp("all_signatures"))


@pytest.fixture(scope="session")
def client(all_signatures: Path) -> Iterator[LocalClient]:
    """A server on TensorFlow without batching."""
    with serve(all_signatures) as client:
        client.wait_for_version(1)
        yield client
