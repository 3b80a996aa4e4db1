"""Versions that are added, removed and broken while requests are answered."""

import shutil
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse
from server_models import write_keras_model, write_warm_up
from serving_client import Client, LocalClient, pixels, rpc_error, serve, wait_until

from model_server import engines
from model_server.batching_parameters import BatchingParameters
from model_server.versions import State

BATCHING = BatchingParameters(max_batch_size=8)
RUNTIMES = {
    "plain": (None, engines.tensorflow),
    "batching": (BATCHING, engines.tensorflow),
    "openvino": (BATCHING, engines.OpenVINO("float32")),
}
# For what depends on how a version is loaded and freed; the rest is tested with "plain".
each_runtime = pytest.mark.parametrize("runtime", RUNTIMES)


@pytest.fixture
def base_path(models: Path, tmp_path: Path) -> Path:
    shutil.copytree(models / "1", tmp_path / "1")
    return tmp_path


@pytest.fixture
def runtime() -> str:
    return "plain"


@pytest.fixture
def client(base_path: Path, runtime: str) -> Iterator[LocalClient]:
    with serve(base_path, *RUNTIMES[runtime]) as client:
        client.wait_for_version(1)
        yield client


def served_version(client: Client) -> int:
    return int(client.predict(images=pixels())["version"][0])


@each_runtime
def test_new_version_takes_over_without_a_failed_request(
    client: LocalClient, base_path: Path, models: Path
) -> None:
    versions: list[int] = []
    stop = threading.Event()

    def predict_until_stopped() -> None:
        while not stop.is_set():
            versions.append(served_version(client))

    with ThreadPoolExecutor(4) as pool:
        loops = [pool.submit(predict_until_stopped) for _ in range(4)]
        try:
            wait_until(lambda: versions)
            shutil.copytree(models / "2", base_path / "2")
            wait_until(lambda: versions[-1] == 2)
        finally:
            stop.set()
    for loop in loops:
        loop.result()
    assert versions[0] == 1
    assert set(versions) == {1, 2}
    client.wait_for_state(1, State.END)
    assert {version: row.state for version, row in client.status().items()} == {
        2: State.AVAILABLE,
        1: State.END,
    }
    status, _ = rpc_error(lambda: client.predict("", 1, images=pixels()))
    assert status == grpc.StatusCode.NOT_FOUND


@each_runtime
def test_old_version_is_freed(client: LocalClient, base_path: Path, models: Path) -> None:
    old = weakref.ref(client.versions.servable("m"))
    shutil.copytree(models / "2", base_path / "2")
    client.wait_for_version(2)
    wait_until(lambda: old() is None)


@pytest.fixture(scope="module")
def keras_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_keras_model(tmp_path_factory.mktemp("keras"))


@each_runtime
def test_plain_keras_export_is_served(keras_model: Path, runtime: str) -> None:
    with serve(keras_model, *RUNTIMES[runtime]) as client:
        client.wait_for_version(1)
        (name,) = client.versions.servable("m").definitions["serving_default"].inputs
        (probabilities,) = client.predict(**{name: pixels(1, 2).astype(np.float32)}).values()
    assert probabilities.shape == (2, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)


def test_newest_of_several_versions_is_served(models: Path) -> None:
    with serve(models) as client:
        client.wait_for_version(2)
        assert set(client.status()) == {2}


def test_old_version_is_served_when_the_new_one_is_broken(
    client: LocalClient, base_path: Path
) -> None:
    (base_path / "3").mkdir()
    (base_path / "3" / "saved_model.pb").write_bytes(b"not a model")
    client.wait_for_state(3, State.END)
    error = client.status()[3].status
    assert error.error_code != 0
    assert error.error_message
    assert served_version(client) == 1
    assert client.status()[1].state == State.AVAILABLE


def test_version_is_loaded_when_its_copy_is_complete(
    client: LocalClient, base_path: Path, models: Path
) -> None:
    (base_path / "2").mkdir()
    complete = (models / "2" / "saved_model.pb").read_bytes()
    (base_path / "2" / "saved_model.pb").write_bytes(complete[: len(complete) // 2])
    client.wait_for_state(2, State.END)
    assert served_version(client) == 1
    shutil.copytree(models / "2", base_path / "2", dirs_exist_ok=True)
    client.wait_for_version(2)
    assert served_version(client) == 2


def test_old_version_returns_when_the_new_one_is_removed(
    client: LocalClient, base_path: Path, models: Path
) -> None:
    shutil.copytree(models / "2", base_path / "2")
    wait_until(lambda: served_version(client) == 2)
    shutil.rmtree(base_path / "2")
    wait_until(lambda: served_version(client) == 1)


class CountingPath(type(Path())):
    """A folder that counts how often it is listed."""

    listings = 0

    def iterdir(self) -> Iterator[Path]:
        type(self).listings += 1
        return super().iterdir()


def test_last_version_is_served_when_its_folder_is_removed(base_path: Path, models: Path) -> None:
    def wait_for_a_poll() -> None:
        listings = CountingPath.listings
        wait_until(lambda: CountingPath.listings >= listings + 2)

    with serve(CountingPath(base_path)) as client:
        client.wait_for_version(1)
        for folder in (base_path / "1", base_path):
            shutil.rmtree(folder)
            wait_for_a_poll()
            assert served_version(client) == 1
        shutil.copytree(models / "2", base_path / "2")
        client.wait_for_version(2)


def test_first_version_of_an_empty_folder_is_served(tmp_path: Path, models: Path) -> None:
    with serve(tmp_path) as client:
        status, _ = rpc_error(lambda: client.predict(images=pixels()))
        assert status == grpc.StatusCode.NOT_FOUND
        assert client.health_status() == HealthCheckResponse.NOT_SERVING
        shutil.copytree(models / "1", tmp_path / "1")
        wait_until(lambda: client.health_status() == HealthCheckResponse.SERVING)
        assert served_version(client) == 1


def test_warm_up_requests_are_replayed(base_path: Path) -> None:
    write_warm_up(base_path / "1", "", "unbatched", "")
    with serve(base_path) as client:
        client.wait_for_version(1)
        assert client.versions.servable("m").warm_up_requests == 3


@pytest.mark.parametrize(
    ("signatures", "reason"), [(["missing"], "missing"), ([""] * 1001, "more than 1000")]
)
def test_version_with_invalid_warm_up_requests_is_not_served(
    base_path: Path, signatures: list[str], reason: str
) -> None:
    write_warm_up(base_path / "1", *signatures)
    with serve(base_path) as client:
        client.wait_for_state(1, State.END)
        assert reason in client.status()[1].status.error_message
