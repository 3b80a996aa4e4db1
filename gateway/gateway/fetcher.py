"""From a stranger's URL to the bytes behind it, within the rules of the settings."""

import fnmatch
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from urllib.parse import urljoin

from urllib3 import BaseHTTPResponse, exceptions
from urllib3.util import Url, parse_url

from gateway.addresses import IPAddress, is_public, resolve
from gateway.concurrency import ConcurrencyLimit
from gateway.config import Settings
from gateway.connections import SourcePool
from gateway.errors import (
    ImageTooLarge,
    InvalidRequest,
    SourceFailed,
    SourceRefused,
    SourceTimeout,
)
from gateway.version import VERSION

MAX_URL_LENGTH = 2048
MAX_REDIRECTS = 3
CHUNK = 65_536
MAX_DIGITS = 18  # Python refuses to read thousands
SOURCE_WAIT = 2.0  # seconds to wait while a source has its limit of downloads
PORTS = {"http": 80, "https": 443}
HEADERS = {
    "Accept": "image/*",
    "Accept-Encoding": "identity",  # a body that grows when unpacked cannot be counted
    "User-Agent": f"sports-gateway/{VERSION} (fetches one image at a user's request)",
}
# What urllib3, http.client and ssl raise when a source fails.
FAILURES = (exceptions.HTTPError, HTTPException, OSError, ValueError)
# One text for a refused address and for one where nobody answers: the caller
# must not be able to map our network by asking.
UNREACHABLE = "The source cannot be reached."


class Fetcher:
    """Downloads images within the limits of the settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._source_limit = ConcurrencyLimit(
            settings.max_per_source, "Too many downloads from this source are in progress."
        )
        self._pool = SourcePool(settings.max_per_source)

    def download(self, url: str, deadline: float) -> bytes:
        """Fetch a URL, following at most three redirects, each checked as the first.

        Args:
            url: http or https.
            deadline: when to give up at the latest, on time.monotonic's clock.

        Raises:
            InvalidRequest: not a URL.
            SourceRefused: the scheme, host, port, address, redirect or answer is not accepted.
            SourceFailed: the source answered 5xx, or broke TLS or the transfer.
            SourceTimeout: the download ran past its deadline.
            ImageTooLarge: more bytes than the limit.
            TooManyRequests: too many downloads from the source are in progress.
        """
        deadline = min(deadline, time.monotonic() + self.settings.fetch_timeout)
        source = _parse(url)
        for _ in range(MAX_REDIRECTS + 1):
            with self._open_response(source, deadline) as response:
                location = response.get_redirect_location()
                if not location:
                    return self._read_body(response, deadline)
            source = _redirected(source, location)
        raise SourceRefused(f"The source redirects more than {MAX_REDIRECTS} times.")

    @contextmanager
    def _open_response(self, source: Url, deadline: float) -> Iterator[BaseHTTPResponse]:
        """Check the source and ask it; what fails in the context becomes an error of ours."""
        self._check(source)
        address = self._resolve(source, deadline)
        wait_until = min(deadline, time.monotonic() + SOURCE_WAIT)
        with self._source_limit.acquire(wait_until, address):
            try:
                with self._pool.open_response(source, address, HEADERS, deadline) as response:
                    yield response
            except FAILURES as error:
                if time.monotonic() >= deadline:
                    raise SourceTimeout("The source took too long.") from error
                raise _translate(error) from error

    def _check(self, source: Url) -> None:
        settings = self.settings
        if source.scheme not in PORTS:
            raise SourceRefused("Only http and https URLs are accepted.")
        if source.auth is not None:
            raise SourceRefused("A URL with a user name or password is not accepted.")
        if (PORTS[source.scheme] if source.port is None else source.port) not in (
            settings.allowed_ports
        ):
            raise SourceRefused("The URL's port is not accepted.")
        host = _host(source).lower()
        patterns = settings.allowed_sources
        if patterns and not any(fnmatch.fnmatchcase(host, p.lower()) for p in patterns):
            raise SourceRefused("Images from this host are not accepted.")

    def _resolve(self, source: Url, deadline: float) -> IPAddress:
        """Resolve once; every address must be public, the first is the one connected to."""
        _check_deadline(deadline)
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

    def _read_body(self, response: BaseHTTPResponse, deadline: float) -> bytes:
        _check_answer(response)
        limit = self.settings.max_image_bytes
        too_large = ImageTooLarge(f"The image is larger than {limit} bytes.")
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
            _check_deadline(deadline)
        return b"".join(chunks)


def _parse(url: str) -> Url:
    if len(url) > MAX_URL_LENGTH:
        raise InvalidRequest(f"The URL is longer than {MAX_URL_LENGTH} characters.")
    if "\\" in url or any(c.isspace() or not c.isprintable() for c in url):
        raise InvalidRequest("The URL holds a character that no URL may hold.")
    try:
        source = parse_url(url)
    except exceptions.LocationParseError as error:
        raise InvalidRequest("This is not a URL.") from error
    if source.scheme is None or (source.scheme in PORTS and not source.host):
        raise InvalidRequest("This is not a URL; one starts with https:// and names a host.")
    return source


def _redirected(source: Url, location: str) -> Url:
    try:
        target = _parse(urljoin(source.url, location))
    except (InvalidRequest, ValueError) as error:
        raise SourceRefused("The source redirects to something that is not a URL.") from error
    if source.scheme == "https" and target.scheme != "https":
        raise SourceRefused("The source redirects from https to http.")
    return target


def _host(source: Url) -> str:
    return (source.host or "").strip("[]")


def _check_deadline(deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise SourceTimeout("The source took too long.")


def _check_answer(response: BaseHTTPResponse) -> None:
    status = response.status
    if 400 <= status < 500:
        raise SourceRefused(f"The source answered {status}.")
    if status != 200:
        raise SourceFailed(f"The source answered {status}.")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise SourceRefused("The source sends a compressed body, which is not accepted.")


def _translate(error: Exception) -> SourceRefused | SourceFailed | SourceTimeout:
    """Say in our terms what urllib3 or http.client ran into."""
    if isinstance(error, exceptions.NewConnectionError):  # which is one of urllib3's timeouts
        return SourceRefused(UNREACHABLE)
    if isinstance(error, (TimeoutError, exceptions.TimeoutError)):
        return SourceTimeout("The source took too long.")
    return SourceFailed("The source broke the transfer.")
