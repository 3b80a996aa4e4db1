"""Versions that come, go and fail while requests are answered."""

import shutil
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from conftest import Client, code, pixels, serve, wait_until
from grpc_health.v1 import health_pb2
from saved_models import write_keras_model, write_warm_up
from tensorflow_serving.apis import get_model_status_pb2

from model_server import engines
from model_server.batching import BatchingParameters

BATCHING = BatchingParameters(max_batch_size=8)
RUNTIMES = {
    "plain": (None, engines.tensorflow),
    "batching": (BATCHING, engines.tensorflow),
    "openvino": (BATCHING, engines.OpenVINO("float32")),
}
State = get_model_status_pb2.ModelVersionStatus


@pytest.fixture
def base_path(models: Path, tmp_path: Path) -> Path:
    shutil.copytree(models / "1", tmp_path / "1")
    return tmp_path


@pytest.fixture(params=RUNTIMES, ids=RUNTIMES)
def client(base_path: Path, request: pytest.FixtureRequest) -> Iterator[Client]:
    with serve(base_path, *RUNTIMES[request.param]) as client:
        client.wait_for_version(1)
        yield client


def test_a_new_version_takes_over_without_a_failed_request(
    client: Client, base_path: Path, models: Path
) -> None:
    versions: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            versions.append(int(client.predict(images=pixels())["version"][0]))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    shutil.copytree(models / "2", base_path / "2")
    wait_until(lambda: versions and versions[-1] == 2)
    stop.set()
    for thread in threads:
        thread.join()
    assert versions[0] == 1
    assert set(versions) == {1, 2}
    assert {v: row.state for v, row in client.status().items()} == {
        2: State.AVAILABLE,
        1: State.END,
    }
    assert code(lambda: client.predict("", 1, images=pixels()))[0] == grpc.StatusCode.NOT_FOUND


def test_the_newest_of_several_is_served(models: Path) -> None:
    with serve(models) as client:
        client.wait_for_version(2)
        assert set(client.status()) == {2}


def test_a_broken_version_leaves_the_old_one_serving(client: Client, base_path: Path) -> None:
    (base_path / "3").mkdir()
    (base_path / "3" / "saved_model.pb").write_bytes(b"not a model")
    wait_until(lambda: 3 in client.status())
    wait_until(lambda: client.status()[3].state == State.END)
    broken = client.status()[3].status
    assert broken.error_code != 0
    assert broken.error_message
    assert client.predict(images=pixels())["version"] == [1]
    assert client.status()[1].state == State.AVAILABLE


def test_a_folder_that_is_still_being_copied(client: Client, base_path: Path, models: Path) -> None:
    (base_path / "2").mkdir()
    whole = (models / "2" / "saved_model.pb").read_bytes()
    (base_path / "2" / "saved_model.pb").write_bytes(whole[: len(whole) // 2])
    wait_until(lambda: 2 in client.status() and client.status()[2].state == State.END)
    assert client.predict(images=pixels())["version"] == [1]
    shutil.copytree(models / "2", base_path / "2", dirs_exist_ok=True)
    client.wait_for_version(2)


def test_back_to_the_old_version(client: Client, base_path: Path, models: Path) -> None:
    shutil.copytree(models / "2", base_path / "2")
    client.wait_for_version(2)
    shutil.rmtree(base_path / "2")
    client.wait_for_version(1)


def test_the_old_version_is_freed(client: Client, base_path: Path, models: Path) -> None:
    old = weakref.ref(client.versions.servable("m"))
    shutil.copytree(models / "2", base_path / "2")
    client.wait_for_version(2)
    wait_until(lambda: old() is None)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_plain_keras_export(tmp_path: Path, runtime: str) -> None:
    write_keras_model(tmp_path)
    with serve(tmp_path, *RUNTIMES[runtime]) as client:
        wait_until(lambda: 1 in client.versions.statuses())
        wait_until(lambda: client.status()[1].state == State.AVAILABLE)
        (name,) = client.versions.servable("m").definitions["serving_default"].inputs
        (answer,) = client.predict(**{name: pixels(1, 2).astype(np.float32)}).values()
    assert answer.shape == (2, 3)
    np.testing.assert_allclose(answer.sum(1), 1, rtol=1e-5)


def test_an_emptied_folder_keeps_the_last_version(client: Client, base_path: Path) -> None:
    shutil.rmtree(base_path / "1")
    time.sleep(0.5)
    assert client.predict(images=pixels())["version"] == [1]
    shutil.rmtree(base_path)
    time.sleep(0.5)
    assert client.predict(images=pixels())["version"] == [1]


def test_an_empty_folder_waits_for_its_first_version(tmp_path: Path, models: Path) -> None:
    with serve(tmp_path) as client:
        assert code(lambda: client.predict(images=pixels()))[0] == grpc.StatusCode.NOT_FOUND
        health = client.health.Check(health_pb2.HealthCheckRequest(), timeout=5)
        assert health.status == health_pb2.HealthCheckResponse.NOT_SERVING
        shutil.copytree(models / "1", tmp_path / "1")
        client.wait_for_version(1)
        health = client.health.Check(health_pb2.HealthCheckRequest(), timeout=5)
        assert health.status == health_pb2.HealthCheckResponse.SERVING


def test_warm_up_requests_are_replayed(base_path: Path) -> None:
    write_warm_up(base_path / "1", "", "unbatched", "")
    with serve(base_path) as client:
        client.wait_for_version(1)
        assert client.versions.servable("m").warm_up_requests == 3


def test_a_version_whose_warm_up_fails_does_not_serve(base_path: Path) -> None:
    write_warm_up(base_path / "1", "no such signature")
    with serve(base_path) as client:
        wait_until(lambda: client.versions.statuses().get(1, None) is not None)
        wait_until(lambda: client.status()[1].state == State.END)
        assert "no such signature" in client.status()[1].status.error_message


def test_too_many_warm_up_requests(base_path: Path) -> None:
    write_warm_up(base_path / "1", *[""] * 1001)
    with serve(base_path) as client:
        wait_until(lambda: client.versions.statuses().get(1, None) is not None)
        wait_until(lambda: client.status()[1].state == State.END)
        assert "1000" in client.status()[1].status.error_message
