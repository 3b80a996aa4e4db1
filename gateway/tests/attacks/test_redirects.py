"""Redirects to where a URL may not lead."""

import pytest
from gateway_testing.image_server import ImageServer, answer, redirect
from gateway_testing.name_server import NameServer

from attacks.checks import PUBLIC, SECRET, Attack, check_refused, check_unreachable


def test_9_a_redirect_to_a_name_that_becomes_private_is_refused(
    attack: Attack, inside: ImageServer, outside: ImageServer, name_server: NameServer
) -> None:
    name_server.names["rebind.example"] = lambda times: [PUBLIC if times == 0 else "127.0.0.1"]
    outside.routes["/away"] = redirect(outside.url("/", "rebind.example"))
    check_unreachable(attack(outside.url("/away", "rebind.example")))


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "//127.0.0.1:{port}/",
        "http://2130706433:{port}/",
        "http://inside.example:{port}/",
        "file:///etc/passwd",
        "ftp://public.example/",
        "http://public.example:22/",
        "http://user@public.example/",
        "/away",
        "http://public.example/\\@127.0.0.1/",
        "http://[",
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_10_redirects_are_checked_like_the_first_url(
    attack: Attack,
    inside: ImageServer,
    outside: ImageServer,
    name_server: NameServer,
    location: str,
    status: int,
) -> None:
    name_server.names["inside.example"] = ["127.0.0.1"]
    target = location.format(port=outside.port)
    outside.routes["/away"] = lambda handler: answer(handler, SECRET, status, Location=target)
    check_refused(attack(outside.url("/away")))
    assert len(outside.requests) <= 4
