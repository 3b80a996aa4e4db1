"""Sources and name servers that never finish."""

import socket
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import gateway_testing.image_server as behaviour
import pytest
from flask import Flask
from gateway_testing.image_server import ImageServer
from gateway_testing.name_server import NameServer

from attacks.checks import PUBLIC, Attack, status_and_title
from gateway.config import Settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, fetch_timeout=0.4)


@pytest.mark.parametrize("slow", [behaviour.drip, behaviour.drip_headers, behaviour.drip_chunks])
def test_14_a_source_that_sends_byte_by_byte_times_out(
    attack: Attack, outside: ImageServer, slow: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    outside.routes["/slow"] = slow
    assert status_and_title(attack(outside.url("/slow"))) == (504, "Source timeout")


@pytest.mark.parametrize("host", [PUBLIC, "silent.example"])
def test_15_a_silent_source_or_name_server_times_out(
    attack: Attack, app: Flask, name_server: NameServer, host: str
) -> None:
    name_server.names["silent.example"] = None
    with socket.create_server((PUBLIC, 0)) as listener:
        port = listener.getsockname()[1]
        fetcher = app.extensions["gateway"].classifier.fetcher
        fetcher.settings = replace(fetcher.settings, allowed_ports=(port,))
        response = attack(f"http://{host}:{port}/")
    assert status_and_title(response) == (504, "Source timeout")
