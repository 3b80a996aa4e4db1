"""The two small clients that the README shows."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from flask import Flask
from gateway_testing.image_server import ImageServer
from werkzeug.serving import make_server

ROOT = Path(__file__).parents[2]
COMMANDS = [[sys.executable, str(ROOT / "gateway/predict_test.py")]]
if shutil.which("curl"):
    COMMANDS.append([str(ROOT / "predict_test.sh")])


@pytest.fixture
def host(app: Flask) -> Iterator[str]:
    server = make_server("localhost", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield f"localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(command: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command, *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_image_is_sent_by_url(command: list[str], host: str, image_server: ImageServer) -> None:
    answer = run(command, host, image_server.url("/image.jpg"))
    assert (answer.stdout.strip(), answer.returncode) == ('"cricket"', 0)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_is_sent(command: list[str], host: str, jpeg: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg)
    answer = run(command, f"http://{host}", str(tmp_path / "a.jpg"))
    assert (answer.stdout.strip(), answer.returncode) == ('"cricket"', 0)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_error_is_shown_and_fails(
    command: list[str], host: str, image_server: ImageServer
) -> None:
    answer = run(command, host, image_server.url("/gone.jpg"))
    assert "The source answered 404." in answer.stdout
    assert answer.returncode != 0


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_file_is_reported(command: list[str], host: str) -> None:
    answer = run(command, host, "nothing.jpg")
    assert "nothing.jpg" in answer.stderr
    assert answer.returncode != 0


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unreachable_service_fails(command: list[str], jpeg: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg)
    assert run(command, "localhost:1", str(tmp_path / "a.jpg")).returncode != 0
