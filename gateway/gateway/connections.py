"""Connections to sources: to one checked address, cut off in time, kept for the next picture."""

import contextlib
import functools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException

import certifi
from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssl_ import create_urllib3_context

from gateway.addresses import IPAddress

MAX_KEPT = 32
KEPT_SECONDS = 5.0  # less than most servers wait for another request

Watch = Callable[[socket.socket], None]


class Cutter:
    """Cuts connections off at their deadlines, all from one thread that ends when none is left.

    A socket's timeout bounds a single wait; a source that sends a byte a second never meets it.
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
            # Of its own, for TLS takes the descriptor of the original over.
            handles.append(socket.fromfd(connection.fileno(), connection.family, connection.type))
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


class _Connection(HTTPConnection):
    """Has its socket watched as soon as it is there, before TLS."""

    watch: Watch

    def _new_conn(self) -> socket.socket:
        connection = super()._new_conn()
        self.watch(connection)
        return connection


class _TLSConnection(_Connection, HTTPSConnection):
    pass


@dataclass(frozen=True)
class Peer:
    """Whom a connection leads to.

    Attributes:
        host: as the URL names it.
        address: one that the host has, checked.
        port: there.
        tls: whether the host has to show its certificate.
    """

    host: str
    address: IPAddress
    port: int
    tls: bool


@dataclass(eq=False)
class _Kept:
    connection: _Connection
    peer: Peer
    since: float


class Connections:
    """Asks sources, and keeps connections that can take another request for a while."""

    def __init__(self) -> None:
        self._cutter = Cutter()
        self._kept: list[_Kept] = []  # the newest is the last
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def get(
        self, peer: Peer, target: str, headers: Mapping[str, str], deadline: float
    ) -> Iterator[HTTPResponse]:
        """Send a GET request; the body of the answer is there to be read in the context.

        Args:
            target: path and query.
            headers: `Host` among them.
            deadline: when to cut the connection off, on time.monotonic's clock.

        Raises:
            HTTPError, HTTPException, OSError, ValueError: as urllib3 and http.client put it.
        """
        drained = False
        with self._cutter.until(deadline) as watch:
            exchange = functools.partial(
                _exchange, target=target, headers=headers, deadline=deadline, watch=watch
            )
            connection, response = self._ask(peer, exchange)
            try:
                yield response
                drained = response.closed  # nothing of the body is left to read
            finally:
                response.close()
                if not drained:
                    connection.close()
        if drained and connection.sock:  # unless the source wanted it closed
            self._keep(connection, peer)

    def __del__(self) -> None:
        for kept in self._kept:
            kept.connection.close()

    def _ask(
        self, peer: Peer, exchange: Callable[[_Connection], HTTPResponse]
    ) -> tuple[_Connection, HTTPResponse]:
        if kept := self._take(peer):
            with contextlib.suppress(HTTPException, OSError):  # the source has just ended it
                return kept, exchange(kept)
        connection = _connection(peer)
        return connection, exchange(connection)

    def _take(self, peer: Peer) -> _Connection | None:
        """The newest that leads there, if it still stands; old ones are closed."""
        with self._lock:
            oldest = time.monotonic() - KEPT_SECONDS
            old = [kept for kept in self._kept if kept.since < oldest]
            del self._kept[: len(old)]
            found = next((kept for kept in reversed(self._kept) if kept.peer == peer), None)
            if found:
                self._kept.remove(found)
        for kept in old:
            kept.connection.close()
        if found is None:
            return None
        if found.connection.is_connected:  # and has nothing unasked to say
            return found.connection
        found.connection.close()
        return None

    def _keep(self, connection: _Connection, peer: Peer) -> None:
        with self._lock:
            self._kept.append(_Kept(connection, peer, time.monotonic()))
            surplus = self._kept[:-MAX_KEPT]
            del self._kept[:-MAX_KEPT]
        for kept in surplus:
            kept.connection.close()


def _exchange(
    connection: _Connection,
    target: str,
    headers: Mapping[str, str],
    deadline: float,
    watch: Watch,
) -> HTTPResponse:
    connection.watch = watch
    if connection.sock is not None:
        watch(connection.sock)
    try:
        connection.timeout = deadline - time.monotonic()
        if connection.timeout <= 0:
            raise TimeoutError
        connection.request(
            "GET", target, headers=headers, preload_content=False, decode_content=False
        )
        return connection.getresponse()
    except BaseException:
        connection.close()
        raise


def _connection(peer: Peer) -> _Connection:
    address = str(peer.address)
    if not peer.tls:
        return _Connection(address, peer.port)
    return _TLSConnection(
        address,
        peer.port,
        ssl_context=_trusting(certifi.where()),
        server_hostname=peer.host,
        assert_hostname=peer.host,
    )


@functools.cache
def _trusting(authorities: str) -> ssl.SSLContext:
    """Reading the authorities takes 20 ms, far more than all else in a download."""
    context = create_urllib3_context()  # verifies
    context.load_verify_locations(authorities)
    return context
