"""A real HTTP server that serves images, or misbehaves as a test wants."""

import contextlib
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Route = bytes | Callable[[BaseHTTPRequestHandler], None]


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Print nothing: in some tests the client hangs up."""


class ImageServer:
    """Serves `routes`: for each path a body, or a function that gets the request's handler."""

    def __init__(
        self, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.address = address
        self.routes: dict[str, Route] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []  # path and headers of each
        self.local_addresses: list[str] = []  # which of our addresses each request came to
        self.client_addresses: list[tuple[str, int]] = []  # and which it came from
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.requests.append((self.path, dict(self.headers)))
                server.local_addresses.append(self.request.getsockname()[0])
                server.client_addresses.append(self.client_address)
                route = server.routes.get(self.path)
                with contextlib.suppress(OSError):  # the client may have hung up
                    if callable(route):
                        route(self)
                    elif route is None:
                        answer(self, b"no such image", 404)
                    else:
                        answer(self, route)

            def log_message(self, *_: object) -> None:
                pass

        self._server = _QuietServer((address, port), Handler)
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True)
        self._thread.start()

    def url(self, path: str, host: str = "") -> str:
        return f"{self._scheme}://{host or self.address}:{self.port}{path}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def answer(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content_Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def redirect(location: str) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda handler: answer(handler, b"", 302, Location=location)


def drip(handler: BaseHTTPRequestHandler) -> None:
    """Send a byte of the body every tenth of a second, without end."""
    handler.send_response(200)
    handler.end_headers()
    _drip_forever(handler, b"x")


def drip_chunks(handler: BaseHTTPRequestHandler) -> None:
    """Send a chunk every tenth of a second and never the last one."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    _drip_forever(handler, b"1\r\nx\r\n")


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    """Send a byte of a header every tenth of a second, without end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    _drip_forever(handler, b"x")


def _drip_forever(handler: BaseHTTPRequestHandler, piece: bytes) -> None:
    for _ in range(600):
        handler.wfile.write(piece)
        handler.wfile.flush()
        time.sleep(0.1)


def flood(handler: BaseHTTPRequestHandler) -> None:
    """Send a body without end and without a declared length."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    while True:
        handler.wfile.write(b"\xff\xd8" + bytes(65_536))


def broken_off(handler: BaseHTTPRequestHandler) -> None:
    """Declare a longer body than is sent."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(bytes(1000))
    handler.close_connection = True
