"""Buckets, as moto and an emulator of Google's have them."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pa = pytest.importorskip("pyarrow", reason="Ray is not installed: make .venv/bulk/ready does it")

from gateway_testing.ports import free_port
from gateway_testing.waiting import wait_for
from moto.server import ThreadedMotoServer
from pyarrow import fs

from gateway.config import Settings
from sports_bulk import storage
from sports_bulk.fetch import Fetch
from sports_bulk.plan import Plan, make_plan
from sports_bulk.tables import sources


@pytest.fixture(scope="module", params=["s3", "gs"])
def bucket(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URI of an empty bucket."""
    with pytest.MonkeyPatch.context() as patch:
        yield from of_moto(patch) if request.param == "s3" else of_emulator(patch)


def of_moto(patch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    patch.setenv("AWS_ACCESS_KEY_ID", "test")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    created = fs.S3FileSystem(
        endpoint_override=f"{host}:{port}", scheme="http", allow_bucket_creation=True
    )
    created.create_dir("images")
    yield "s3://images"
    server.stop()


def of_emulator(patch: pytest.MonkeyPatch) -> Iterator[str]:
    """In a process of its own: pyarrow keeps other threads of this one from answering it."""
    port = free_port()
    options = ("--host=127.0.0.1", f"--port={port}", "--in-memory", "--default-bucket=images")
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        wait_for(lambda: answers(port))
        patch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", f"http://127.0.0.1:{port}")
        yield "gs://anonymous@images"
        server.terminate()


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def fetched(plan: Plan) -> list[bytes | None]:
    batch = Fetch(plan, Settings())(pa.table({"part": [0]}))
    return [row["data"] for row in batch.to_pylist()]


def test_images_in_a_bucket(bucket: str) -> None:
    for name in ("a/1.jpg", "a/b/2.jpg", "a/notes.txt"):
        storage.write(f"{bucket}/{name}", name.encode())
    expected = [f"{bucket}/a/1.jpg", f"{bucket}/a/b/2.jpg"]
    assert list(sources(f"{bucket}/a")) == expected

    plan = make_plan(f"{bucket}/a", None, f"{bucket}/out", 10, "model/1", "int8")

    assert plan.sources(0) == expected
    assert fetched(plan) == [b"a/1.jpg", b"a/b/2.jpg"]


def test_list_in_a_bucket_names_what_is_beside_it(bucket: str, tmp_path: Path) -> None:
    storage.write(f"{bucket}/lists/1.jpg", b"image")
    storage.write(f"{bucket}/lists/all.csv", b"path\n1.jpg\nmissing.jpg\n")
    plan = make_plan(f"{bucket}/lists/all.csv", None, str(tmp_path), 10, "model/1", "int8")
    assert fetched(plan) == [b"image", None]


def test_output_in_a_bucket_is_resumed(bucket: str) -> None:
    storage.write(f"{bucket}/more.txt", b"a.jpg\nb.jpg\n")

    def plan() -> Plan:
        return make_plan(f"{bucket}/more.txt", None, f"{bucket}/result/", 1, "model/1", "int8")

    assert plan().missing() == [0, 1]
    storage.write(plan().predictions_file(0), b"")
    assert plan().missing() == [1]
