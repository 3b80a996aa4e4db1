"""The command against the real gateway, and against servers that are busy or away."""

import csv
import io
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from drawings import encode, gradient
from fake_serving import FakeServing
from picture_server import PictureServer
from PIL import Image
from run_local import free_port
from service import gateway
from sports.__main__ import ANSWERED, AWAY, SOME_FAILED, WRONG_USE, main

JPEG = encode(gradient())


@pytest.fixture(scope="module")
def serving() -> Iterator[FakeServing]:
    fake = FakeServing()
    yield fake
    fake.stop()


@pytest.fixture(scope="module")
def pictures() -> Iterator[PictureServer]:
    server = PictureServer()
    server.routes["/picture.jpg"] = JPEG
    yield server
    server.stop()


@pytest.fixture(scope="module")
def host(serving: FakeServing, pictures: PictureServer) -> Iterator[str]:
    sources = {
        "GATEWAY_ALLOW_PRIVATE_SOURCES": "true",
        "GATEWAY_ALLOWED_PORTS": str(pictures.port),
        "GATEWAY_API_KEYS": "key-1",
    }
    serving_host = serving.host
    with gateway(serving_host, **sources) as service:
        yield f"localhost:{service.port}"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.jpg"
    path.write_bytes(JPEG)
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["predict", *map(str, arguments), "--key", "key-1"])
    code = ended.value.code
    assert isinstance(code, int)
    return code


def test_a_file_and_a_url(host, picture, pictures, capsys) -> None:
    url = pictures.url("/picture.jpg")
    assert run(picture, url, "--host", host) == ANSWERED
    assert capsys.readouterr().out == f"{picture}: cricket (88.0 %)\n{url}: cricket (88.0 %)\n"


def test_json(host, picture, capsys) -> None:
    assert run(picture, "--json", "--host", host) == ANSWERED
    result = json.loads(capsys.readouterr().out)
    assert result["source"] == str(picture)
    assert result["label"] == "cricket"
    assert len(result["probabilities"]) == 7


def test_csv(host, picture, tmp_path, capsys) -> None:
    (tmp_path / "no.jpg").write_bytes(b"no picture")
    assert run(tmp_path, "--csv", "--host", f"http://{host}") == SOME_FAILED
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["label"] for row in rows] == ["", "cricket"]
    assert "not a readable JPEG" in rows[0]["error"]


@pytest.mark.parametrize("source", ["missing.jpg", "http://127.0.0.1:1/"])
def test_a_picture_that_is_not_there(host, picture, source, capsys) -> None:
    assert run(source, picture, "--host", host) == SOME_FAILED
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{source}: ")
    assert second.endswith("cricket (88.0 %)")


def test_a_wrong_key(host, picture, capsys) -> None:
    assert run(picture, "--host", host, "--key", "other") == ANSWERED  # the last one counts
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(picture), "--host", host, "--key", "other"])
    assert ended.value.code == SOME_FAILED
    assert "API keys" in capsys.readouterr().out


def test_the_service_is_away(picture, capsys) -> None:
    assert run(picture, "--host", f"localhost:{free_port()}") == AWAY
    assert "does not answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["a.jpg", "--json", "--csv"], ["a.jpg", "b.jpg", "--explain", "o.png"]]
)
def test_a_wrong_command_line(arguments) -> None:
    assert run(*arguments) == WRONG_USE


def test_explain(host, picture, tmp_path) -> None:
    output = tmp_path / "heat.png"
    assert run(picture, "--explain", output, "--host", host) == ANSWERED
    before, after = Image.open(picture).convert("RGB"), Image.open(output)
    assert after.size == before.size
    cold, hot = after.getpixel((2, 2)), after.getpixel((317, 237))
    assert max(abs(a - b) for a, b in zip(cold, before.getpixel((2, 2)), strict=True)) < 12
    assert max(abs(a - b) for a, b in zip(hot, (255, 128, 15), strict=True)) < 40


def test_explain_where_no_picture_can_be_written(host, picture, tmp_path, capsys) -> None:
    assert run(picture, "--explain", tmp_path / "heat.nonsense", "--host", host) == SOME_FAILED
    assert "nonsense" in capsys.readouterr().out


class Busy:
    """Answers 429 and 503 a few times, then as the service does."""

    def __init__(self, statuses: list[int], retry_after: str) -> None:
        busy = self
        self.asked: list[float] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                busy.asked.append(time.monotonic())
                self.rfile.read(int(self.headers["Content-Length"]))
                status = statuses.pop(0) if statuses else 200
                prediction = {"label": "tennis", "probability": 1.0, "known": None}
                body = {"predictions": [prediction], "detail": "Busy."}
                data = json.dumps(body).encode()
                self.send_response(status)
                if status != 200:
                    self.send_header("Retry-After", retry_after)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_a_busy_service_is_asked_again_when_it_says(picture, capsys) -> None:
    busy = Busy([429, 503], retry_after="1")
    assert run(picture, "--host", busy.host) == ANSWERED
    busy.stop()
    assert "tennis" in capsys.readouterr().out
    assert len(busy.asked) == 3
    pauses = [after - before for before, after in zip(busy.asked, busy.asked[1:], strict=False)]
    assert all(pause >= 1 for pause in pauses)


def test_a_service_that_stays_busy_is_given_up(picture, capsys) -> None:
    busy = Busy([429] * 99, retry_after="0")
    assert run(picture, "--host", busy.host) == AWAY
    busy.stop()
    assert "Busy" in capsys.readouterr().err


@pytest.mark.parametrize("style", ["--json", "--csv"])
def test_a_folder_of_200_is_interrupted_and_resumed(host, tmp_path, style, serving) -> None:
    folder, output = tmp_path / "pictures", tmp_path / "results"
    for number in range(200):
        path = folder / str(number % 3) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(JPEG)
    (folder / "notes.txt").write_text("no picture")
    arguments = ["predict", folder, style, "--output", output, "--host", host, "--key", "key-1"]
    command = [sys.executable, "-m", "sports", *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not output.exists() or output.read_bytes().count(b"\n") < 60:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert "interrupted" in process.communicate()[1]
    assert process.returncode == 130
    assert 60 <= output.read_bytes().count(b"\n") < 200
    with output.open("ab") as file:
        file.write(b'{"source": "half a li')  # as a power cut leaves it
    assert subprocess.run(command).returncode == ANSWERED
    text = output.read_text()
    if style == "--json":
        sources = [json.loads(line)["source"] for line in text.splitlines()]
    else:
        sources = [row["source"] for row in csv.DictReader(io.StringIO(text))]
    assert Counter(sources) == {str(path): 1 for path in folder.rglob("*.jpg")}
