"""Connections to sources: to one checked address, within one deadline, kept for the next image."""

import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import certifi
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ProtocolError
from urllib3.util import Url
from urllib3.util.ssl_ import create_urllib3_context

from gateway.addresses import IPAddress

MAX_SOURCES = 32  # to which connections are kept
MAX_IDLE_SECONDS = 5.0  # less than most servers wait for another request


class DeadlineSocket(socket.socket):
    """A socket whose timeout bounds all that is received after it was set, not each single wait.

    Otherwise a source that sends a byte a second never times out.
    """

    _deadline = 0.0

    def settimeout(self, value: float | None) -> None:
        self._deadline = time.monotonic() + (value or 0)
        super().settimeout(value)

    def recv_into(self, *args: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        super().settimeout(left)
        return super().recv_into(*args)


class DeadlineTLSSocket(DeadlineSocket, ssl.SSLSocket):
    pass


class StaleConnection(OSError):
    """A kept connection had been closed by the source, which has not read the request."""


class SourceConnection(HTTPConnection):
    _answered_at: float | None = None  # on time.monotonic's clock; None: not on this socket

    @property
    def is_connected(self) -> bool:  # asked by the pool before a connection is used again
        if self._answered_at is None or time.monotonic() - self._answered_at > MAX_IDLE_SECONDS:
            return False
        return super().is_connected

    def connect(self) -> None:
        self._answered_at = None
        super().connect()

    def getresponse(self) -> Any:
        try:
            response = super().getresponse()
        except ConnectionError as error:
            if self._answered_at is not None:
                raise StaleConnection from error
            raise
        self._answered_at = time.monotonic()
        return response

    def _new_conn(self) -> socket.socket:
        started = time.monotonic()
        connection = DeadlineSocket(fileno=super()._new_conn().detach())
        timeout = self.timeout or 0.0  # open_response always sets one
        connection.settimeout(max(0.001, timeout - (time.monotonic() - started)))
        return connection


class SourceTLSConnection(SourceConnection, HTTPSConnection):
    pass


class SourceHTTPPool(HTTPConnectionPool):
    ConnectionCls = SourceConnection


class SourceHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = SourceTLSConnection


class SourcePool:
    """Sends requests to sources, over kept connections where there are any."""

    def __init__(self, max_per_source: int) -> None:
        self._manager = PoolManager(MAX_SOURCES, maxsize=max_per_source)
        self._manager.pool_classes_by_scheme = {"http": SourceHTTPPool, "https": SourceHTTPSPool}

    @contextmanager
    def open_response(
        self, source: Url, address: IPAddress, headers: Mapping[str, str], deadline: float
    ) -> Iterator[BaseHTTPResponse]:
        """Send a GET request; the body is to be read in the context.

        Args:
            source: an http or https URL, whose host must show its certificate.
            address: the host's checked address, which is connected to.
            deadline: when to give up on the whole exchange, on time.monotonic's clock.

        Raises:
            HTTPError, HTTPException, OSError, ValueError: as urllib3 and http.client put it.
        """
        tls: dict[str, Any] = {"server_hostname": (source.host or "").strip("[]")}
        if source.scheme == "https":
            tls["ssl_context"] = _ssl_context(certifi.where())
        pool = self._manager.connection_from_host(str(address), source.port, source.scheme, tls)
        request = partial(
            pool.urlopen,
            "GET",
            source.request_uri,
            headers={**headers, "Host": source.netloc or ""},
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        response = None
        while response is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            try:
                response = request(timeout=Timeout(total=left))
            except ProtocolError as error:  # each stale connection is met once
                if not any(isinstance(cause, StaleConnection) for cause in error.args):
                    raise
        try:
            yield response
        finally:  # does nothing if the body was read to its end: the connection is kept
            response.close()
            response.release_conn()


@cache
def _ssl_context(authorities: str) -> ssl.SSLContext:
    """Made once: reading the trusted authorities takes far longer than the rest of a download."""
    context = create_urllib3_context()  # checks certificates and host names
    context.load_verify_locations(authorities)
    context.sslsocket_class = DeadlineTLSSocket
    return context
