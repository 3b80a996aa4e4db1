"""The bytes of images, from everywhere, and why they cannot be had."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow", reason="Ray is not installed: make .venv/bulk/ready does it")

from gateway_testing.image_server import ImageServer, answer
from pyarrow import parquet

from gateway.config import Settings
from sports_bulk.fetch import Fetch
from sports_bulk.plan import make_plan

IMAGE = b"not decoded here"


@pytest.fixture
def server() -> Iterator[ImageServer]:
    server = ImageServer()
    server.routes["/a.jpg"] = IMAGE
    yield server
    server.stop()


def fetch(tmp_path: Path, sources: list[str], **settings: Any) -> list[dict[str, Any]]:
    """The rows that the first stage makes of a list of sources."""
    (tmp_path / "list.txt").write_text("\n".join(sources))
    return fetch_input(tmp_path / "list.txt", tmp_path / "out", **settings)


def fetch_input(file: Path, output: Path, **settings: Any) -> list[dict[str, Any]]:
    plan = make_plan(str(file), None, str(output), 1000, "model/1", "int8")
    rows: list[dict[str, Any]] = Fetch(plan, Settings(**settings))(
        pa.table({"part": [0]})
    ).to_pylist()
    return rows


def private(server: ImageServer) -> dict[str, Any]:
    return {"allow_private_sources": True, "allowed_ports": (server.port, 9)}


def test_urls_and_files(server: ImageServer, tmp_path: Path) -> None:
    (tmp_path / "b.jpg").write_bytes(b"file")
    sources = [server.url("/a.jpg"), str(tmp_path / "b.jpg"), "b.jpg"]

    rows = fetch(tmp_path, sources, **private(server))

    assert [row["data"] for row in rows] == [IMAGE, b"file", b"file"]
    assert [row["row"] for row in rows] == [0, 1, 2]
    assert all(row["error"] is None and row["fetch_seconds"] >= 0 for row in rows)
    [(_, headers)] = server.requests
    assert headers["User-Agent"].startswith("sports-gateway/")


def test_what_fails_has_the_errors_of_the_service(server: ImageServer, tmp_path: Path) -> None:
    server.routes["/large.jpg"] = bytes(200)
    (tmp_path / "large.jpg").write_bytes(bytes(200))
    expected = {
        server.url("/missing.jpg"): "source-refused",
        "http://127.0.0.1:9/dead.jpg": "source-refused",
        server.url("/large.jpg"): "image-too-large",
        "large.jpg": "image-too-large",
        "missing.jpg": "source-refused",
        "ftp://example.com/a.jpg": "source-refused",
        "file:///etc/hostname": "source-refused",
        "http://[broken/a.jpg": "invalid-request",
    }

    rows = fetch(tmp_path, list(expected), **private(server), max_image_bytes=100)

    assert [row["error"] for row in rows] == list(expected.values())
    assert all(row["data"] is None and row["detail"] for row in rows)


def test_private_addresses_are_refused_as_by_the_service(
    server: ImageServer, tmp_path: Path
) -> None:
    sources = [server.url("/a.jpg"), server.url("/a.jpg", host="localhost")]
    rows = fetch(tmp_path, sources, allowed_ports=(server.port,))
    assert [row["error"] for row in rows] == ["source-refused"] * 2
    assert not server.requests


def test_source_that_fails_is_asked_twice(server: ImageServer, tmp_path: Path) -> None:
    statuses = iter([503, 200, 500, 500, 500])

    def unreliable(handler: BaseHTTPRequestHandler) -> None:
        answer(handler, IMAGE, next(statuses))

    server.routes["/a.jpg"] = server.routes["/b.jpg"] = unreliable
    [row] = fetch(tmp_path, [server.url("/a.jpg")], **private(server))
    assert row["data"] == IMAGE
    (tmp_path / "other.txt").write_text(server.url("/b.jpg"))
    [row] = fetch_input(tmp_path / "other.txt", tmp_path / "out2", **private(server))
    assert row["error"] == "source-failed"
    assert len(server.requests) == 4


def test_host_gets_no_more_downloads_at_once_than_the_setting(
    server: ImageServer, tmp_path: Path
) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def slow(handler: BaseHTTPRequestHandler) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1
        answer(handler, IMAGE)

    server.routes["/a.jpg"] = slow
    rows = fetch(tmp_path, [server.url("/a.jpg")] * 40, **private(server), max_per_source=3)
    assert all(row["data"] for row in rows)
    assert most <= 3


def test_images_inside_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"bytes": [b"a", None, b"c", b"d"]})
    (tmp_path / "in").mkdir()
    parquet.write_table(table, tmp_path / "in/t.parquet", row_group_size=2)
    monkeypatch.chdir(tmp_path)
    rows = fetch_input(Path("in/t.parquet"), Path("out"))
    assert [row["data"] for row in rows] == [b"a", None, b"c", b"d"]
    assert rows[1]["error"] == "invalid-request"
