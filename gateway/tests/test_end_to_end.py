"""gunicorn with two workers, the embedded model server, real models, real sockets."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from gateway_testing.drawings import encode
from gateway_testing.image_server import ImageServer
from PIL import Image

pytest.importorskip("model_server", reason="needs the embedded model server's environment")
import run_local
from gateway_testing.service import GATEWAY, LOAD_SECONDS, Load, gateway
from saved_models import write_plain_keras_model, write_sports_model

RED, GREEN, BLUE = (encode(Image.new("RGB", (60, 40), c)) for c in ("red", "lime", "blue"))


@contextlib.contextmanager
def model_server(base_path: Path, model_name: str = "") -> Iterator[str]:
    host = f"localhost:{run_local.free_port()}"
    environ = {**os.environ, "MODEL_BASE_PATH": str(base_path), "MODEL_NAME": model_name}
    command = run_local.server_command(environ, host)
    with run_local.running(command, environ, GATEWAY.parent / "model/server"):
        yield host


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sports_model(tmp_path_factory.mktemp("sports"))


@pytest.fixture(scope="module")
def host(model_folder: Path) -> Iterator[str]:
    with model_server(model_folder) as host:
        yield host


@pytest.fixture(scope="module")
def service(host: str) -> Iterator[str]:
    with gateway(host, workers=2) as service:
        yield service.url


def predict(url: str, picture: bytes, **switches: str) -> requests.Response:
    headers = {"Content-Type": "image/jpeg"}
    return requests.post(f"{url}/predict", picture, headers=headers, params=switches, timeout=30)


def test_both_workers_answer(service: str) -> None:
    pictures = [RED, GREEN, BLUE] * 20
    with ThreadPoolExecutor(8) as pool:  # a worker that inherited a channel would hang
        answers = list(pool.map(lambda picture: predict(service, picture).json(), pictures))
    assert answers == ["cricket", "tennis", "swimming"] * 20


def test_by_url(host: str, image_server: ImageServer) -> None:
    image_server.routes["/green.jpg"] = GREEN
    ports = {
        "GATEWAY_ALLOWED_PORTS": str(image_server.port),
        "GATEWAY_ALLOW_PRIVATE_SOURCES": "true",
    }
    with gateway(host, **ports) as service:
        body = {"url": image_server.url("/green.jpg")}
        answer = requests.post(f"{service.url}/predict", json=body, timeout=30)
    assert answer.text.strip() == '"tennis"'


def test_a_form(service: str) -> None:
    assert (
        requests.post(f"{service}/predict", files={"image": BLUE}, timeout=30).json() == "swimming"
    )


def test_probabilities(service: str) -> None:
    answer = predict(service, RED, show_probability="true").json()
    assert len(answer) == 7
    assert sum(answer.values()) == pytest.approx(1, abs=1e-4)


def test_the_heat_map_comes_from_the_explain_signature(service: str) -> None:
    url, headers = f"{service}/v1/predictions?explain=true", {"Content-Type": "image/jpeg"}
    [prediction] = requests.post(url, RED, headers=headers, timeout=30).json()["predictions"]
    assert prediction["label"] == "cricket"
    assert prediction["known"] is True
    assert max(map(max, prediction["heatmap"])) == pytest.approx(1, abs=0.02)


def test_a_plain_keras_export_is_served_unmodified(tmp_path: Path) -> None:
    write_plain_keras_model(tmp_path)
    names = {"GATEWAY_MODEL_NAME": "other", "GATEWAY_LABELS": "red,green,blue"}
    with model_server(tmp_path, "other") as host, gateway(host, **names) as service:
        url = service.url
        assert [predict(url, p).json() for p in (RED, GREEN, BLUE)] == ["red", "green", "blue"]
        answer = predict(url, GREEN, show_probability="true").json()
    assert list(answer) == ["red", "green", "blue"]
    assert sum(answer.values()) == pytest.approx(1, abs=1e-4)


def test_a_model_that_nobody_serves(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_local, "START_SECONDS", 2)
    with pytest.raises(SystemExit, match="no such model"), gateway(host, GATEWAY_MODEL_NAME="x"):
        pytest.fail("ready without a model")


def test_the_model_server_dies_and_comes_back(model_folder: Path) -> None:
    port = run_local.free_port()
    command = run_local.server_command({"MODEL_BASE_PATH": str(model_folder)}, f"localhost:{port}")
    server = GATEWAY.parent / "model/server"
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(run_local.running(command, os.environ, server))
        url = stack.enter_context(gateway(f"localhost:{port}")).url
        assert predict(url, RED).json() == "cricket"
        first.kill()
        first.wait()
        answer = predict(url, RED)
        assert answer.status_code == 503
        assert answer.json()["title"] == "Model unavailable"
        stack.enter_context(run_local.running(command, os.environ, server))
        run_local.wait_until_ready(url, {})
        assert predict(url, GREEN).json() == "tennis"


@pytest.mark.timeout(300)
def test_a_new_version_arrives_under_load(tmp_path: Path, wait_for, capsys) -> None:
    first = write_sports_model(tmp_path / "new") / "1"
    base_path = tmp_path / "served"
    shutil.copytree(first, base_path / "1")
    with (
        model_server(base_path) as host,
        gateway(host, workers=2) as service,
        Load(service, RED) as load,
    ):
        time.sleep(LOAD_SECONDS / 2)
        shutil.copytree(first, tmp_path / "2")
        (tmp_path / "2").rename(base_path / "2")
        wait_for(lambda: version(service.url) == "2")
        time.sleep(LOAD_SECONDS / 2)
    with capsys.disabled():
        print(f"\n{len(load.statuses())} requests while a version was loaded")
    assert set(load.statuses()) == {200}


def version(url: str) -> str:
    headers = {"Content-Type": "image/jpeg"}
    answer = requests.post(f"{url}/v1/predictions", RED, headers=headers, timeout=30)
    return answer.json()["model"]["version"]
