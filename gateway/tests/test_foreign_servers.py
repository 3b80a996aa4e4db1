"""Our model behind servers that others wrote: MLServer and Triton, installed from their wheels."""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import run_local
from gateway_testing.environments import programs
from gateway_testing.fake_serving import SPORTS
from gateway_testing.ports import free_port
from gateway_testing.waiting import wait_for

from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.images import preprocess
from gateway.model_client import ModelClient

ROOT = run_local.ROOT
SERVERS = Path(__file__).parent / "servers"
MODEL = next((ROOT / "model/sport-classification-model").glob("*/model.xml"))
SAMPLES = ROOT / "dataset/samples"
# Triton's Python runs the standard library of the interpreter that starts it, and fits the
# system's; a Python without one is taken as it is.
SYSTEM_PYTHON = Path("/usr/bin/python3")

pytestmark = pytest.mark.timeout(600)  # of which the installation


def environment(name: str) -> Path:
    """The programs of an environment with what the server's requirements name."""
    python = str(SYSTEM_PYTHON) if SYSTEM_PYTHON.exists() else "python3"
    return programs(SERVERS / f"{name}.txt", python)


@contextlib.contextmanager
def asked(command: list[str], folder: Path, port: int, labels: str = "") -> Iterator[ModelClient]:
    """A client of the server that this command starts."""
    environ = {**os.environ, "PYTHONPATH": str(SERVERS)}
    settings = Settings(
        model_protocol="open-inference",
        tf_serving_host=f"127.0.0.1:{port}",
        labels=tuple(labels.split()),
    )
    with (
        (folder / "log").open("wb") as log,
        run_local.running(command, environ, folder, log) as process,
        contextlib.closing(ModelClient(settings)) as model,
    ):

        def is_available() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            with contextlib.suppress(GatewayError):
                model.check_available(time.monotonic() + 2)
                return True
            return False

        wait_for(is_available, 240)
        yield model


@pytest.fixture(scope="module")
def mlserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelClient]:
    folder, ports = tmp_path_factory.mktemp("mlserver"), [free_port() for _ in range(3)]
    names = ("grpc_port", "http_port", "metrics_port")
    settings = {**dict(zip(names, ports, strict=True)), "host": "127.0.0.1", "parallel_workers": 0}
    (folder / "settings.json").write_text(json.dumps(settings))
    model = json.loads((SERVERS / "model-settings.json").read_text())
    model["parameters"]["uri"] = str(MODEL)
    (folder / "model-settings.json").write_text(json.dumps(model))
    command = [str(environment("mlserver") / "mlserver"), "start", str(folder)]
    with asked(command, folder, ports[0]) as model:
        yield model


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelClient]:
    folder, port = tmp_path_factory.mktemp("triton"), free_port()
    python = str(environment("triton") / "python")
    command = [python, str(SERVERS / "sports_triton.py"), str(MODEL), str(port)]
    with asked(command, folder, port, " ".join(SPORTS)) as model:
        yield model


@pytest.mark.parametrize("name", ["mlserver", "triton"])
def test_it_answers_as_ours(name: str, request: pytest.FixtureRequest) -> None:
    model: ModelClient = request.getfixturevalue(name)
    paths = sorted(SAMPLES.glob("*.jpg"))
    images = [preprocess(path.read_bytes()) for path in paths]
    deadline = time.monotonic() + 120
    signature = model.signature(deadline)
    predictions = model.predict(images, signature, deadline)
    labels = {
        path.stem: prediction.label for path, prediction in zip(paths, predictions, strict=True)
    }
    certain = ("badminton", "cricket", "soccer", "swimming", "tennis")
    assert {sport: labels[sport] for sport in certain} == {sport: sport for sport in certain}
    assert all(prediction.in_domain for prediction in predictions)
    assert tuple(predictions[0].probabilities) == SPORTS
    assert not signature.explains
