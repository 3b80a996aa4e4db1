"""A service that answers what a test tells it to: busy for a while, or not before it may."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sports.__main__ import main


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Print nothing: in some tests the client hangs up."""


class StubService:
    """Answers as its attributes say, which may change between requests."""

    def __init__(self) -> None:
        self.requests = 0
        self.refusals: list[tuple[int, dict[str, str]]] = []  # status and headers, used up in turn
        self.body: bytes | None = None  # None: a prediction
        self.prediction: dict[str, Any] = {"label": "tennis", "probability": 1.0, "known": None}
        self.hold_after: int | None = None  # how many requests are answered before `release`
        self.held = threading.Semaphore(0)  # released for each request that is held
        self.release = threading.Event()
        self._lock = threading.Lock()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                with stub._lock:
                    stub.requests += 1
                    hold = stub.hold_after is not None and stub.requests > stub.hold_after
                    status, headers = stub.refusals.pop(0) if stub.refusals else (200, {})
                if hold:
                    stub.held.release()
                    stub.release.wait(60)
                answer = {"predictions": [stub.prediction], "detail": "Busy."}
                body = json.dumps(answer).encode() if stub.body is None else stub.body
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = _QuietServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def run(*arguments: object) -> int:
    """Run `sports predict` in this process and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(["predict", *map(str, arguments)])
    code = ended.value.code
    assert isinstance(code, int)
    return code
