"""Versions that are added, removed and broken while requests are answered."""

import shutil
import struct
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse
from serving_client import PLAIN, Client, LocalClient, pixels, rpc_error, serve, wait_until

from model_server.batching_parameters import BatchingParameters
from model_server.servable import Runtime
from model_server.tensors import to_proto
from model_server.versions import State
from model_server.warm_up import FILE
from tf_serving import api_pb2 as tf

RUNTIMES = {"plain": PLAIN, "batching": Runtime("fp32", BatchingParameters(max_batch_size=8))}
each_runtime = pytest.mark.parametrize("runtime", RUNTIMES)


def add(models: Path, base_path: Path, version: str) -> Path:
    return Path(shutil.copytree(models / "signatures/1", base_path / version))


@pytest.fixture
def base_path(models: Path, tmp_path: Path) -> Path:
    add(models, tmp_path, "1")
    return tmp_path


@pytest.fixture
def runtime() -> str:
    return "plain"


@pytest.fixture
def client(base_path: Path, runtime: str) -> Iterator[LocalClient]:
    with serve(base_path, RUNTIMES[runtime]) as client:
        client.wait_for_version(1)
        yield client


def served_version(client: Client) -> int:
    return client.respond(images=pixels()).model_spec.version.value


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
            add(models, base_path, "2")
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
    add(models, base_path, "2")
    client.wait_for_version(2)
    wait_until(lambda: old() is None)


def test_newest_of_several_versions_is_served(models: Path, tmp_path: Path) -> None:
    # AspireLatestVersions in sources/storage_path/file_system_storage_path_source.cc
    for name in ("2", "00000010", "text"):
        add(models, tmp_path, name)
    with serve(tmp_path) as client:
        client.wait_for_version(10)
        assert set(client.status()) == {10}
        assert served_version(client) == 10


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
    complete = (models / "signatures/1/saved_model.pb").read_bytes()
    (base_path / "2" / "saved_model.pb").write_bytes(complete[: len(complete) // 2])
    client.wait_for_state(2, State.END)
    assert served_version(client) == 1
    shutil.copytree(models / "signatures/1", base_path / "2", dirs_exist_ok=True)
    client.wait_for_version(2)
    assert served_version(client) == 2


def test_old_version_returns_when_the_new_one_is_removed(
    client: LocalClient, base_path: Path, models: Path
) -> None:
    add(models, base_path, "2")
    wait_until(lambda: served_version(client) == 2)
    shutil.rmtree(base_path / "2")
    wait_until(lambda: served_version(client) == 1)


def test_version_is_unloaded_when_no_folder_of_one_is_left(
    client: LocalClient, base_path: Path, models: Path
) -> None:
    # PollFileSystemForServable in sources/storage_path/file_system_storage_path_source.cc
    shutil.rmtree(base_path / "1")
    client.wait_for_state(1, State.END)
    status, _ = rpc_error(lambda: served_version(client))
    assert status == grpc.StatusCode.NOT_FOUND
    assert client.health_status() == HealthCheckResponse.NOT_SERVING
    add(models, base_path, "2")
    client.wait_for_version(2)
    assert served_version(client) == 2
    assert client.health_status() == HealthCheckResponse.SERVING


class CountingPath(type(Path())):
    """A folder that counts how often it is listed."""

    listings = 0

    def iterdir(self) -> Iterator[Path]:
        type(self).listings += 1
        return super().iterdir()


def test_version_stays_while_the_base_path_is_away(base_path: Path) -> None:
    # "transiently unavailable" in the same function
    with serve(CountingPath(base_path)) as client:
        client.wait_for_version(1)
        shutil.rmtree(base_path)
        listings = CountingPath.listings
        wait_until(lambda: CountingPath.listings >= listings + 2)
        assert served_version(client) == 1


def test_first_version_of_an_empty_folder_is_served(tmp_path: Path, models: Path) -> None:
    with serve(tmp_path) as client:
        status, _ = rpc_error(lambda: client.predict(images=pixels()))
        assert status == grpc.StatusCode.NOT_FOUND
        assert client.health_status() == HealthCheckResponse.NOT_SERVING
        add(models, tmp_path, "1")
        wait_until(lambda: client.health_status() == HealthCheckResponse.SERVING)
        assert served_version(client) == 1


def write_warm_up(folder: Path, *requests: tuple[str, int]) -> Path:
    """Store warm-up requests, each a signature and a number of images."""
    file = folder / FILE
    file.parent.mkdir()
    with file.open("wb") as records:
        for signature, count in requests:
            log = tf.PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = signature
            request.inputs["images"].CopyFrom(to_proto(pixels(*range(1, count + 1))))
            record = log.SerializeToString()
            records.write(struct.pack("<QI", len(record), 0) + record + struct.pack("<I", 0))
    return file


def test_warm_up_requests_to_the_default_signature_are_replayed(base_path: Path) -> None:
    # Those to others wait until they are compiled; many images are computed a few at a time.
    write_warm_up(base_path / "1", ("", 1), ("unbatched", 1), ("serving_default", 4), ("", 16))
    with serve(base_path) as client:
        client.wait_for_version(1)
        assert client.versions.servable("m").warm_up_requests == 2


@pytest.mark.parametrize(
    ("requests", "reason"), [([("missing", 1)], "missing"), ([("", 1)] * 1001, "more than 1000")]
)
def test_version_with_invalid_warm_up_requests_is_not_served(
    base_path: Path, requests: list[tuple[str, int]], reason: str
) -> None:
    # kMaxNumRecords in servables/tensorflow/saved_model_warmup_util.h
    write_warm_up(base_path / "1", *requests)
    with serve(base_path) as client:
        client.wait_for_state(1, State.END)
        assert reason in client.status()[1].status.error_message


@pytest.mark.parametrize("removed", [1, 20])
def test_version_with_a_broken_file_of_warm_up_requests_is_not_served(
    base_path: Path, removed: int
) -> None:
    file = write_warm_up(base_path / "1", ("", 1))
    file.write_bytes(file.read_bytes()[:-removed])
    with serve(base_path) as client:
        client.wait_for_state(1, State.END)
        assert "no warm-up requests" in client.status()[1].status.error_message


def test_version_that_openvino_cannot_convert_says_what_to_do(models: Path) -> None:
    with serve(models / "log_gamma") as client:
        client.wait_for_state(1, State.END)
        error = client.status()[1].status
    assert error.error_code == tf.UNIMPLEMENTED
    assert "the operations Lgamma: serve it with TensorFlow Serving" in error.error_message
