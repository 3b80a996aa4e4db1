"""API keys and rate limits."""

import hashlib
import hmac
import ipaddress
import logging
import math
import time

import limits
from flask import Request
from limits.errors import ConfigurationError
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

from gateway.config import Settings
from gateway.errors import TooManyRequests, Unauthorized

IPV6_CLIENT = 64  # bits of prefix; a provider assigns a customer at least one such network

log = logging.getLogger(__name__)


class Clients:
    """Checks API keys, and counts the images of each client.

    Raises:
        ValueError: the storage for the counts is unknown.
    """

    def __init__(self, settings: Settings) -> None:
        self._keys = [key.encode() for key in settings.api_keys]
        self._rate = limits.parse(settings.rate_limit) if settings.rate_limit else None
        try:
            storage = storage_from_string(settings.rate_limit_storage)
        except ConfigurationError as error:
            raise ValueError(f"GATEWAY_RATE_LIMIT_STORAGE: {error}") from error
        self._limiter = MovingWindowRateLimiter(storage)

    def admit(self, request: Request) -> str:
        """Identify the client: by its key's digest, or without keys by its address.

        Raises:
            Unauthorized: a key is required, and the request has none of ours.
        """
        if not self._keys:
            return _network(request.remote_addr or "")
        sent = _key(request).encode("latin-1", "replace")  # the bytes of a header, says WSGI
        # All are compared, so that the time tells nothing.
        if not sum(hmac.compare_digest(sent, key) for key in self._keys):
            raise Unauthorized("Send one of the service's API keys as `Authorization: Bearer KEY`.")
        return hashlib.sha256(sent).hexdigest()

    def count(self, client: str, images: int) -> dict[str, str]:
        """Count images against the client's rate.

        Returns:
            Headers that say what is left of it (draft-ietf-httpapi-ratelimit-headers).

        Raises:
            TooManyRequests: the rate is exceeded; `retry_after` says for how long.
        """
        if self._rate is None:
            return {}
        try:
            is_within = self._limiter.hit(self._rate, client, cost=images)
            window = self._limiter.get_window_stats(self._rate, client)
        except Exception:  # whatever the storage's client library raises
            log.exception("the rate limit's storage is unreachable; the request is admitted")
            return {}
        seconds = max(1, math.ceil(window.reset_time - time.time()))
        headers = {
            "RateLimit-Policy": f'"client";q={self._rate.amount};w={self._rate.get_expiry()}',
            "RateLimit": f'"client";r={max(0, window.remaining)};t={seconds}',
        }
        if is_within:
            return headers
        detail = f"The limit for one client is {self._rate}."
        raise TooManyRequests(detail, retry_after=seconds, headers=headers)


def _key(request: Request) -> str:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else request.headers.get("X-API-Key", "")


def _network(address: str) -> str:
    """The client behind an address: all of an IPv6 customer's addresses are one client."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(parsed), IPV6_CLIENT), strict=False))
    return str(parsed)
