"""Connections that lead to one checked address and end when their time is up."""

import contextlib
import functools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from requests import adapters
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.ssl_ import create_urllib3_context

from gateway.addresses import IPAddress

Watch = Callable[[socket.socket], None]


class Cutter:
    """Cuts connections off at their deadlines, all from one thread that ends when none is left.

    A timeout in requests bounds a single wait; a source that sends a byte a second never meets it.
    """

    def __init__(self) -> None:
        self._due: dict[socket.socket, float] = {}
        self._next = 0.0  # when the thread looks again
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def until(self, deadline: float) -> Iterator[Watch]:
        """Give a function; connections passed to it are cut if they outlive the deadline.

        Args:
            deadline: on time.monotonic's clock.
        """
        handles: list[socket.socket] = []

        def watch(connection: socket.socket) -> None:
            handles.append(connection.dup())  # TLS takes the descriptor of the original over
            self._add(handles[-1], deadline)

        try:
            yield watch
        finally:
            with self._changed:  # so that no other connection that got its descriptor is cut
                for handle in handles:
                    self._due.pop(handle, None)
                    handle.close()

    def _add(self, handle: socket.socket, deadline: float) -> None:
        with self._changed:
            self._due[handle] = deadline
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cutter", daemon=True)
                self._thread.start()
            elif deadline < self._next:
                self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while self._due:
                now = time.monotonic()
                for handle in [each for each, deadline in self._due.items() if deadline <= now]:
                    del self._due[handle]
                    with contextlib.suppress(OSError):  # closed already
                        handle.shutdown(socket.SHUT_RDWR)
                self._next = min(self._due.values(), default=now)
                self._changed.wait(self._next - now)
            self._thread = None


@functools.cache
def _trusting(authorities: str) -> ssl.SSLContext:
    """Reading the authorities takes 20 ms, far more than all else in a download."""
    context = create_urllib3_context()  # verifies
    context.load_verify_locations(authorities)
    return context


class PinnedAdapter(adapters.HTTPAdapter):
    """Connects to one address, whatever host the request names."""

    def __init__(self, address: IPAddress, port: int, tls_host: str | None, watch: Watch) -> None:
        """
        Args:
            tls_host: whose certificate the other side has to show; None: no TLS.
            watch: is told each connection as soon as it is there.
        """
        super().__init__()
        self._pool: HTTPConnectionPool
        if tls_host is None:
            self._pool = HTTPConnectionPool(str(address), port, watch=watch)
            self._pool.ConnectionCls = _Connection
        else:
            self._pool = HTTPSConnectionPool(
                str(address),
                port,
                ssl_context=_trusting(adapters.DEFAULT_CA_BUNDLE_PATH),
                server_hostname=tls_host,
                assert_hostname=tls_host,
                watch=watch,
            )
            self._pool.ConnectionCls = _TLSConnection

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        return self._pool

    def cert_verify(self, *_: Any) -> None:
        """The pool's context verifies; requests would read the authorities again."""

    def close(self) -> None:
        self._pool.close()
        super().close()


class _Watched:
    def __init__(self, *args: Any, watch: Watch, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watch = watch

    def _new_conn(self) -> socket.socket:
        connection: socket.socket = super()._new_conn()  # type: ignore[misc]
        self._watch(connection)
        return connection


class _Connection(_Watched, HTTPConnection):
    """HTTP."""


class _TLSConnection(_Watched, HTTPSConnection):
    """HTTPS."""
