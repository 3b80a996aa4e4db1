"""gunicorn with two workers, the embedded model server, real models, real sockets."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import requests
import run_local
from gateway_testing.drawings import encode
from gateway_testing.image_server import ImageServer
from gateway_testing.ports import free_port
from gateway_testing.service import GATEWAY, Load, Service, gateway, starting_gateway
from gateway_testing.waiting import wait_for
from PIL import Image

pytestmark = [
    pytest.mark.skipif(
        find_spec("model_server") is None, reason="needs the embedded model server's environment"
    ),
    pytest.mark.timeout(300),
]

MODELS = Path(__file__).parent / "models"
RED, GREEN, BLUE = (encode(Image.new("RGB", (60, 40), c)) for c in ("red", "lime", "blue"))


class ModelServer:
    """The embedded model server at a fixed address, with one model folder at a time."""

    def __init__(self) -> None:
        self.host = f"localhost:{free_port()}"
        self._served: Path | None = None
        self._running = contextlib.ExitStack()
        self.process: subprocess.Popen[bytes] | None = None

    def serve(self, folder: Path) -> None:
        """Serve this folder, unless it is served already."""
        if folder == self._served:
            return
        self.stop()
        environ = {**os.environ, "MODEL_BASE_PATH": str(folder)}
        command = run_local.server_command(environ, self.host)
        running = run_local.running(command, environ, GATEWAY.parent / "model/server")
        self.process = self._running.enter_context(running)
        self._served = folder

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()
        self._served = None

    def stop(self) -> None:
        self._running.close()
        self._served = None


@pytest.fixture(scope="module")
def model_server() -> Iterator[ModelServer]:
    server = ModelServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def sports_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(MODELS / "sports", tmp_path_factory.mktemp("sports") / "model"))


@pytest.fixture(scope="module")
def sources() -> Iterator[ImageServer]:
    server = ImageServer()
    server.routes["/green.jpg"] = GREEN
    yield server
    server.stop()


@pytest.fixture(scope="module")
def running_gateway(
    model_server: ModelServer, sources: ImageServer, sports_folder: Path
) -> Iterator[Service]:
    model_server.serve(sports_folder)
    settings: dict[str, Any] = {
        "GATEWAY_ALLOWED_PORTS": str(sources.port),
        "GATEWAY_ALLOW_PRIVATE_SOURCES": "true",
        "GATEWAY_LABELS": "red,green,blue",  # for the plain Keras export
        "GATEWAY_MAX_IN_FLIGHT": "64",
    }
    with gateway(model_server.host, workers=2, **settings) as service:
        yield service


@pytest.fixture
def service(running_gateway: Service, model_server: ModelServer, sports_folder: Path) -> Service:
    """The gateway in front of our model."""
    model_server.serve(sports_folder)
    run_local.wait_until_ready(running_gateway.url, {})
    return running_gateway


def predict(service: Service, image: bytes, **parameters: str) -> requests.Response:
    headers = {"Content-Type": "image/jpeg"}
    return requests.post(
        f"{service.url}/predict", image, headers=headers, params=parameters, timeout=60
    )


def full_answer(service: Service, query: str = "") -> Any:
    url = f"{service.url}/v1/predictions{query}"
    return requests.post(url, RED, headers={"Content-Type": "image/jpeg"}, timeout=60).json()


def test_both_workers_answer(service: Service) -> None:
    images = [RED, GREEN, BLUE] * 20
    with ThreadPoolExecutor(8) as pool:  # a worker that inherited a channel would hang
        answers = list(pool.map(lambda image: predict(service, image).json(), images))
    assert answers == ["cricket", "tennis", "swimming"] * 20


def test_an_image_is_sent_by_url(service: Service, sources: ImageServer) -> None:
    url = {"url": sources.url("/green.jpg")}
    answer = requests.post(f"{service.url}/predict", json=url, timeout=60)
    assert answer.text.strip() == '"tennis"'


def test_an_image_is_sent_as_a_form(service: Service) -> None:
    answer = requests.post(f"{service.url}/predict", files={"image": BLUE}, timeout=60)
    assert answer.json() == "swimming"


def test_the_probabilities_sum_to_1(service: Service) -> None:
    answer = predict(service, RED, show_probability="true").json()
    assert len(answer) == 7
    assert sum(answer.values()) == pytest.approx(1, abs=1e-4)


def test_the_heat_map_comes_from_the_explain_signature(service: Service) -> None:
    [prediction] = full_answer(service, "?explain=true")["predictions"]
    assert prediction["label"] == "cricket"
    assert prediction["known"] is True
    assert max(map(max, prediction["heatmap"])) == pytest.approx(1, abs=0.02)


def test_the_readiness_probe_names_an_unknown_model(
    service: Service, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with starting_gateway(model_server.host, GATEWAY_MODEL_NAME="x") as other:

        def detail() -> str:
            with contextlib.suppress(requests.ConnectionError):
                return str(requests.get(f"{other.url}/readyz", timeout=60).json()["detail"])
            return ""

        wait_for(lambda: "no such model" in detail())
        monkeypatch.setattr(run_local, "START_SECONDS", 0)
        with pytest.raises(SystemExit, match=r"not ready within 0 s: .* no such model"):
            run_local.wait_until_ready(other.url, {})


def test_a_new_version_is_loaded_under_load(
    service: Service, sports_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Load(service, RED) as load:
        load.wait_for_more()
        shutil.copytree(sports_folder / "1", tmp_path / "2")
        (tmp_path / "2").rename(sports_folder / "2")
        wait_for(lambda: full_answer(service)["model"]["version"] == "2", 120)
        load.wait_for_more()
    with capsys.disabled():
        print(f"\n{len(load.statuses())} requests while a version was loaded")
    assert set(load.statuses()) == {200}


def test_the_model_server_is_killed_and_a_plain_keras_export_takes_its_place(
    service: Service, model_server: ModelServer
) -> None:
    assert predict(service, RED).json() == "cricket"
    model_server.kill()
    answer = predict(service, RED)
    assert (answer.status_code, answer.json()["title"]) == (503, "Model unavailable")
    model_server.serve(MODELS / "keras")
    run_local.wait_until_ready(service.url, {})
    images = (RED, GREEN, BLUE) * 2  # for both workers
    assert [predict(service, image).json() for image in images] == ["red", "green", "blue"] * 2
    answer = predict(service, GREEN, show_probability="true")
    assert list(answer.json()) == ["red", "green", "blue"]
    assert sum(answer.json().values()) == pytest.approx(1, abs=1e-4)
