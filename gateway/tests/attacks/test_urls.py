"""URLs that must be refused as they stand."""

import pytest
from gateway_testing.image_server import ImageServer
from gateway_testing.name_server import NameServer

from attacks.checks import PUBLIC, Attack, check_refused


def test_0_an_image_of_a_public_server_is_fetched(attack: Attack, outside: ImageServer) -> None:
    for host in ("public.example", PUBLIC):
        assert attack(outside.url("/image.jpg", host)).json == "cricket"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://public.example/a.jpg",
        "gopher://public.example:70/_",
        "dict://public.example:11211/stat",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "jar:http://public.example!/",
        "unix:///run/docker.sock",
        "http+unix://%2Frun%2Fdocker.sock/",
        "//public.example/a.jpg",
        "public.example/a.jpg",
        "public.example:80",
        "",
    ],
)
def test_1_other_schemes_are_refused_before_any_lookup(
    attack: Attack, name_server: NameServer, url: str
) -> None:
    check_refused(attack(url))
    assert not name_server.queries


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "0x7f000001",
        "0x7f.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.1.",
        "①②⑦.0.0.1",
        "１２７.0.0.1",  # noqa: RUF001
        "127。0。0。1",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:7f00:1]",
        "[::1%25lo]",
        "%31%32%37.0.0.1",
    ],
)
def test_3_other_spellings_of_loopback_are_refused(
    attack: Attack, inside: ImageServer, host: str
) -> None:
    check_refused(attack(inside.url("/", host)))


@pytest.mark.parametrize(
    "url",
    [
        "http://public.example@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}\\@public.example/",
        "http://public.example\\@127.0.0.1:{port}/",
        "http://public.example:{port}#@127.0.0.1:{port}/\n",
        "http://user:password@public.example:{port}/image.jpg",
        "http://127.0.0.1:{port}#public.example/",
        "http://127.0.0.1:{port}?public.example/",
        "http://public.example:{port}/a\r\nHost: 127.0.0.1",
        "http://public.example\0.evil.example:{port}/",
        "http://public.example:{port}:80/",
        "http://public.example:{port}/" + "a" * 2048,
        " http://127.0.0.1:{port}/",
    ],
)
def test_11_ambiguous_urls_are_refused(attack: Attack, inside: ImageServer, url: str) -> None:
    check_refused(attack(url.format(port=inside.port)))


@pytest.mark.parametrize("port", [0, 21, 22, 25, 6379, 8500, 8501, 9696, 10250, 65535])
def test_12_other_ports_are_refused(attack: Attack, name_server: NameServer, port: int) -> None:
    check_refused(attack(f"http://public.example:{port}/"), "port")
    assert not name_server.queries
