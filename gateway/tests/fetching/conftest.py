import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.config import Settings
from gateway.fetcher import Fetcher

Download = Callable[..., bytes]


@pytest.fixture
def download(settings: Settings) -> Download:
    """Downloads a URL with changed settings."""

    def download(url: str, **changes: Any) -> bytes:
        return Fetcher(replace(settings, **changes)).download(url, time.monotonic() + 20)

    return download


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        yield port
