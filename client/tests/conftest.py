import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_testing.drawings import encode, gradient
from gateway_testing.fake_serving import FakeServing
from gateway_testing.image_server import ImageServer
from gateway_testing.service import gateway
from stub_service import StubService

KEY = "key-1"


@pytest.fixture(autouse=True)
def default_ctrl_c() -> Iterator[None]:
    """Without this the command would ignore SIGINT when the tests run as a background job."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    return encode(gradient())


@pytest.fixture(scope="session")
def image_url(jpeg: bytes) -> Iterator[str]:
    server = ImageServer()
    server.routes["/image.jpg"] = jpeg
    yield server.url("/image.jpg")
    server.stop()


@pytest.fixture(scope="session")
def host(image_url: str) -> Iterator[str]:
    """A real gateway in front of a fake model server; it requires KEY."""
    serving = FakeServing()
    with gateway(
        serving.host,
        GATEWAY_ALLOW_PRIVATE_SOURCES="true",
        GATEWAY_ALLOWED_PORTS=image_url.split(":")[2].split("/")[0],
        GATEWAY_API_KEYS=KEY,
    ) as service:
        yield f"localhost:{service.port}"
    serving.stop()


@pytest.fixture
def environment(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that make the command use the real gateway."""
    monkeypatch.setenv("SPORTS_HOST", host)
    monkeypatch.setenv("SPORTS_API_KEY", KEY)


@pytest.fixture
def stub() -> Iterator[StubService]:
    service = StubService()
    yield service
    service.stop()


@pytest.fixture
def image(tmp_path: Path, jpeg: bytes) -> Path:
    path = tmp_path / "image.jpg"
    path.write_bytes(jpeg)
    return path
