"""Ports for servers that are started later."""

import secrets
import socket

# Below the range from which systems assign ports by themselves, so that no other test's connection
# takes the port before its server does.
FIRST, LAST = 10_000, 30_000


def free_port() -> int:
    """A port at which nothing listens."""
    while True:
        port = FIRST + secrets.randbelow(LAST - FIRST)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
