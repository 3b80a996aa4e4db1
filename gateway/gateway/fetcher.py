"""From a stranger's URL to the bytes behind it, without being led anywhere else."""

import fnmatch
import time
from http.client import HTTPException
from urllib.parse import urljoin

from urllib3 import HTTPResponse, exceptions
from urllib3.util import Url, parse_url

from gateway.addresses import IPAddress, is_public, resolve
from gateway.config import Settings
from gateway.connections import Connections, Peer
from gateway.errors import (
    ImageTooLarge,
    InvalidRequest,
    SourceFailed,
    SourceRefused,
    SourceTimeout,
)
from gateway.shares import Shares

MAX_URL_LENGTH = 2048
MAX_REDIRECTS = 3
CHUNK = 65_536
MAX_DIGITS = 18  # Python refuses to read thousands
PATIENCE = 2.0  # seconds to wait for a turn at a busy source
PORTS = {"http": 80, "https": 443}
HEADERS = {
    "Accept": "image/*",
    "Accept-Encoding": "identity",  # a body that grows when unpacked cannot be counted
    "User-Agent": "sports-gateway/0.1 (fetches one picture at a user's request)",
}
# What urllib3, http.client and ssl make of a source that fails.
FAILURES = (exceptions.HTTPError, HTTPException, OSError, ValueError)
# One text for a refused address and for one where nobody answers: the caller
# must not be able to map our network by asking.
UNREACHABLE = "The source cannot be reached."


class Fetcher:
    """Downloads pictures within the limits of the settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        # So that nobody can point us at a victim as a cannon.
        self._turns = Shares(settings.max_per_source, "This source is asked for too much at once.")
        self._connections = Connections()

    def download(self, url: str, deadline: float) -> bytes:
        """Fetch a URL, following at most three redirects, each checked as the first.

        Args:
            url: http or https.
            deadline: when to give up at the latest, on time.monotonic's clock.

        Raises:
            InvalidRequest: not a URL.
            SourceRefused: a scheme, host, port, address, redirect or answer that is not taken.
            SourceFailed: the source answered 5xx, or broke TLS or the transfer.
            SourceTimeout: the download ran past its deadline.
            ImageTooLarge: more bytes than the limit.
            TooManyRequests: the source is asked for too many pictures already.
        """
        deadline = min(deadline, time.monotonic() + self.settings.fetch_timeout)
        source = _parse(url)
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._ask(source, deadline)
            if isinstance(answer, bytes):
                return answer
            if source.scheme == "https" and answer.scheme != "https":
                raise SourceRefused("The source redirects from https to http.")
            source = answer
        raise SourceRefused(f"The source redirects more than {MAX_REDIRECTS} times.")

    def _ask(self, source: Url, deadline: float) -> bytes | Url:
        """Answer the body, or where the source says it is."""
        self._check(source)
        address = self._address(source, deadline)
        peer = Peer(_host(source), address, _port(source), source.scheme == "https")
        headers = {**HEADERS, "Host": source.netloc or ""}
        with self._turns.take(1, min(deadline, time.monotonic() + PATIENCE), address):
            try:
                with self._connections.get(peer, source.request_uri, headers, deadline) as response:
                    return self._read(response, source, deadline)
            except FAILURES as error:
                if time.monotonic() >= deadline:
                    raise SourceTimeout("The source took too long.") from error
                raise _translate(error) from error

    def _read(self, response: HTTPResponse, source: Url, deadline: float) -> bytes | Url:
        if location := response.get_redirect_location():
            return _follow(source, location)
        _check_answer(response)
        return self._body(response, deadline)

    def _body(self, response: HTTPResponse, deadline: float) -> bytes:
        limit = self.settings.max_image_bytes
        too_large = ImageTooLarge(f"The picture is larger than {limit} bytes.")
        length = response.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdecimal()):
            raise SourceFailed("The source broke the transfer.")
        if len(length) > MAX_DIGITS or int(length) > limit:
            raise too_large
        chunks, size = [], 0
        while chunk := response.read1(CHUNK):
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                raise too_large
            _left(deadline)
        _left(deadline)  # a connection cut at the deadline looks like the end of the body
        return b"".join(chunks)

    def _check(self, source: Url) -> None:
        settings = self.settings
        if source.scheme not in PORTS:
            raise SourceRefused("Only http and https URLs are taken.")
        if source.auth is not None:
            raise SourceRefused("A URL with a user name or password is not taken.")
        if _port(source) not in settings.allowed_ports:
            raise SourceRefused("The URL's port is not taken.")
        host = _host(source).lower()
        patterns = settings.allowed_sources
        if patterns and not any(fnmatch.fnmatchcase(host, p.lower()) for p in patterns):
            raise SourceRefused("Pictures from this host are not taken.")

    def _address(self, source: Url, deadline: float) -> IPAddress:
        """Resolve once; every address must be public, the first is the one connected to."""
        _left(deadline)
        try:
            addresses = resolve(_host(source), deadline, self.settings.nameserver)
        except TimeoutError as error:
            raise SourceTimeout("The source took too long.") from error
        except OSError as error:
            raise SourceRefused(UNREACHABLE) from error
        if not self.settings.allow_private_sources:
            for address in addresses:
                if not is_public(address, self.settings.refused_networks):
                    raise SourceRefused(UNREACHABLE) from OSError(f"{address} is not public")
        return addresses[0]


def _parse(url: str) -> Url:
    if len(url) > MAX_URL_LENGTH:
        raise InvalidRequest(f"The URL is longer than {MAX_URL_LENGTH} characters.")
    if "\\" in url or any(c.isspace() or not c.isprintable() for c in url):
        raise InvalidRequest("The URL holds a character that no URL has.")
    try:
        source = parse_url(url)
    except exceptions.LocationParseError as error:
        raise InvalidRequest("That is not a URL.") from error
    if source.scheme is None or (source.scheme in PORTS and not source.host):
        raise InvalidRequest("That is not a URL; one starts with https:// and names a host.")
    return source


def _follow(source: Url, location: str) -> Url:
    try:
        return _parse(urljoin(source.url, location))
    except (InvalidRequest, ValueError) as error:
        raise SourceRefused("The source redirects to something that is not a URL.") from error


def _host(source: Url) -> str:
    return (source.host or "").strip("[]")


def _port(source: Url) -> int:
    return PORTS[source.scheme or "http"] if source.port is None else source.port


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise SourceTimeout("The source took too long.")
    return left


def _check_answer(response: HTTPResponse) -> None:
    status = response.status
    if 400 <= status < 500:
        raise SourceRefused(f"The source answered {status}.")
    if status != 200:
        raise SourceFailed(f"The source answered {status}.")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise SourceRefused("The source sends a compressed body, which is not taken.")


def _translate(error: Exception) -> SourceRefused | SourceFailed | SourceTimeout:
    """Say in our terms what urllib3 or http.client ran into."""
    if isinstance(error, exceptions.NewConnectionError):  # which is one of urllib3's timeouts
        return SourceRefused(UNREACHABLE)
    if isinstance(error, (TimeoutError, exceptions.TimeoutError)):
        return SourceTimeout("The source took too long.")
    return SourceFailed("The source broke the transfer.")
