"""A real HTTP server that behaves as badly as a test wants."""

import contextlib
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client that hangs up is what some tests are about."""


class PictureServer:
    """Serves `routes`: a path's body, or a function that is handed the request's handler."""

    def __init__(
        self, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.address = address
        self.routes: dict[str, bytes | Callable[[BaseHTTPRequestHandler], None]] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.peers: list[str] = []  # the addresses that were connected to
        self.clients: list[tuple[str, int]] = []  # where each request came from
        routes, seen, peers, clients = self.routes, self.seen, self.peers, self.clients

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                seen.append((self.path, dict(self.headers)))
                peers.append(self.request.getsockname()[0])
                clients.append(self.client_address)
                route = routes.get(self.path)
                with contextlib.suppress(OSError):  # the client may have had enough
                    if callable(route):
                        route(self)
                    elif route is None:
                        answer(self, b"no such picture", 404)
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
    """Send a byte every tenth of a second and never end."""
    handler.send_response(200)
    handler.end_headers()
    _drip_forever(handler)


def drip_chunks(handler: BaseHTTPRequestHandler) -> None:
    """Send a chunk every tenth of a second and never the last one."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    _drip_forever(handler, b"1\r\nx\r\n")


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    _drip_forever(handler)


def _drip_forever(handler: BaseHTTPRequestHandler, drop: bytes = b"x") -> None:
    for _ in range(600):
        handler.wfile.write(drop)
        handler.wfile.flush()
        time.sleep(0.1)


def flood(handler: BaseHTTPRequestHandler) -> None:
    """Send without end and without saying how much."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    while True:
        handler.wfile.write(b"\xff\xd8" + bytes(65_536))


def broken_off(handler: BaseHTTPRequestHandler) -> None:
    """Promise more than comes."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(bytes(1000))
    handler.close_connection = True
