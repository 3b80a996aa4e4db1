"""gunicorn with two workers, the embedded model server, real models, real sockets."""

import contextlib
import os
import shutil
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
from gateway_testing.service import GATEWAY, Load, Service, gateway, starting_gateway
from gateway_testing.waiting import wait_for
from PIL import Image

pytestmark = [
    pytest.mark.skipif(
        find_spec("model_server") is None, reason="needs the embedded model server's environment"
    ),
    pytest.mark.timeout(300),
]

RED, GREEN, BLUE = (encode(Image.new("RGB", (60, 40), c)) for c in ("red", "lime", "blue"))


@contextlib.contextmanager
def model_server(host: str, base_path: Path, model_name: str = "") -> Iterator[str]:
    environ = {**os.environ, "MODEL_BASE_PATH": str(base_path), "MODEL_NAME": model_name}
    command = run_local.server_command(environ, host)
    with run_local.running(command, environ, GATEWAY.parent / "model/server"):
        yield host


def free_host() -> str:
    return f"localhost:{run_local.free_port()}"


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from saved_models import write_sports_model  # imports TensorFlow

    return write_sports_model(tmp_path_factory.mktemp("sports"))


@pytest.fixture(scope="module")
def host(model_folder: Path) -> Iterator[str]:
    with model_server(free_host(), model_folder) as host:
        yield host


@pytest.fixture(scope="module")
def sources() -> Iterator[ImageServer]:
    server = ImageServer()
    server.routes["/green.jpg"] = GREEN
    yield server
    server.stop()


@pytest.fixture(scope="module")
def service(host: str, sources: ImageServer) -> Iterator[Service]:
    settings: dict[str, Any] = {
        "GATEWAY_ALLOWED_PORTS": str(sources.port),
        "GATEWAY_ALLOW_PRIVATE_SOURCES": "true",
        "GATEWAY_MAX_IN_FLIGHT": "64",
    }
    with gateway(host, workers=2, **settings) as service:
        yield service


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
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with starting_gateway(host, GATEWAY_MODEL_NAME="x") as service:

        def detail() -> str:
            with contextlib.suppress(requests.ConnectionError):
                return str(requests.get(f"{service.url}/readyz", timeout=60).json()["detail"])
            return ""

        wait_for(lambda: "no such model" in detail())
        monkeypatch.setattr(run_local, "START_SECONDS", 0)
        with pytest.raises(SystemExit, match=r"not ready within 0 s: .* no such model"):
            run_local.wait_until_ready(service.url, {})


def test_a_new_version_is_loaded_under_load(
    model_folder: Path, service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Load(service, RED) as load:
        load.wait_for_more()
        shutil.copytree(model_folder / "1", tmp_path / "2")
        (tmp_path / "2").rename(model_folder / "2")
        wait_for(lambda: full_answer(service)["model"]["version"] == "2", 120)
        load.wait_for_more()
    with capsys.disabled():
        print(f"\n{len(load.statuses())} requests while a version was loaded")
    assert set(load.statuses()) == {200}


def test_the_model_server_is_killed_and_a_plain_keras_export_takes_its_place(
    model_folder: Path, tmp_path: Path
) -> None:
    from saved_models import write_plain_keras_model

    write_plain_keras_model(tmp_path)
    host = free_host()
    environ = {**os.environ, "MODEL_BASE_PATH": str(model_folder), "MODEL_NAME": "m"}
    command = run_local.server_command(environ, host)
    server = run_local.running(command, environ, GATEWAY.parent / "model/server")
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(server)
        service = stack.enter_context(
            gateway(host, GATEWAY_MODEL_NAME="m", GATEWAY_LABELS="red,green,blue")
        )
        assert predict(service, RED).json() == "cricket"
        process.kill()
        process.wait()
        answer = predict(service, RED)
        assert (answer.status_code, answer.json()["title"]) == (503, "Model unavailable")
        stack.enter_context(model_server(host, tmp_path, "m"))
        run_local.wait_until_ready(service.url, {})
        images = (RED, GREEN, BLUE)
        assert [predict(service, image).json() for image in images] == ["red", "green", "blue"]
        answer = predict(service, GREEN, show_probability="true")
        assert list(answer.json()) == ["red", "green", "blue"]
        assert sum(answer.json().values()) == pytest.approx(1, abs=1e-4)
