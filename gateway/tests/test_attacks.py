"""What a stranger may try with a URL, against real sockets and a real DNS server.

The resolver, the addresses' check and the fetcher are the real ones. Only one thing is pretended:
that the addresses 127.1.0.0/16 of this machine belong to the public internet.
"""

import gzip
import logging
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from ipaddress import ip_network

import certifi
import gateway_testing.image_server as behaviour
import pytest
import trustme
from flask import Flask
from flask.testing import FlaskClient
from gateway_testing.drawings import encode, gradient, png_header
from gateway_testing.image_server import ImageServer, answer, redirect
from gateway_testing.name_server import NameServer
from PIL import ExifTags, Image
from structlog.stdlib import ProcessorFormatter
from werkzeug.test import TestResponse

from gateway import create_app, fetcher
from gateway.addresses import is_public
from gateway.config import Settings
from gateway.fetcher import UNREACHABLE
from gateway.logs import FORMAT

PUBLIC = "127.1.0.1"
OTHER = "127.1.0.2"
LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)
SECRET = b"the secret of the inside"
Attack = Callable[[str], TestResponse]


@pytest.fixture
def name_server() -> Iterator[NameServer]:
    server = NameServer()
    server.names["public.example"] = [PUBLIC]
    yield server
    server.stop()


@pytest.fixture
def outside(jpeg: bytes) -> Iterator[ImageServer]:
    server = ImageServer(address=PUBLIC)
    server.routes["/image.jpg"] = jpeg
    yield server
    server.stop()


@pytest.fixture
def inside(outside: ImageServer) -> Iterator[ImageServer]:
    """Something of ours at the same port, which must not hear of anything."""
    server = ImageServer(address="127.0.0.1", port=outside.port)
    server.routes["/"] = SECRET
    yield server
    server.stop()
    assert not server.requests


@pytest.fixture
def app(
    settings: Settings,
    outside: ImageServer,
    name_server: NameServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Flask]:
    pretended = ip_network("127.1.0.0/16")
    monkeypatch.setattr(fetcher, "is_public", lambda a, own: a in pretended or is_public(a, own))
    strict = replace(
        settings,
        allow_private_sources=False,
        allowed_ports=(80, 443, outside.port),
        nameserver=name_server.address,
    )
    app = create_app(strict)
    yield app
    app.extensions["gateway"].classifier.model.close()


@pytest.fixture
def attack(client: FlaskClient) -> Attack:
    def attack(url: str) -> TestResponse:
        response = client.post("/predict", json={"url": url})
        assert SECRET.decode() not in response.text
        return response

    return attack


def check_refused(response: TestResponse, detail: str = "") -> None:
    assert response.status_code in (400, 413, 415, 422), response.text
    assert detail in response.json["detail"]


def check_unreachable(response: TestResponse) -> None:
    assert response.status_code == 422
    assert response.json["title"] == "Source refused"
    assert response.json["detail"] == UNREACHABLE


def test_0_a_picture_out_there_is_fetched(attack: Attack, outside: ImageServer) -> None:
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
    "host", ["127.0.0.1", "127.0.0.2", "localhost", "a.localhost", "[::1]", "0.0.0.0", "[::]", "0"]
)
def test_2_this_machine(attack: Attack, inside: ImageServer, host: str) -> None:
    check_unreachable(attack(inside.url("/", host)))


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
def test_3_other_spellings_of_it(attack: Attack, inside: ImageServer, host: str) -> None:
    check_refused(attack(inside.url("/", host)))


@pytest.mark.parametrize(
    "host",
    "10.0.0.1 172.16.0.1 172.31.255.254 192.168.1.1 100.64.0.1 198.18.0.1 [fd12::1]".split(),
)
def test_4_private_networks(attack: Attack, host: str) -> None:
    check_unreachable(attack(f"http://{host}/"))


@pytest.mark.parametrize(
    "host",
    "169.254.169.254 169.254.170.2 168.63.129.16 100.100.100.200 [fd00:ec2::254]".split(),
)
def test_5_metadata_services(attack: Attack, host: str) -> None:
    check_unreachable(attack(f"http://{host}/latest/meta-data/"))


def test_5_their_names(attack: Attack, name_server: NameServer) -> None:
    name_server.names["metadata.google.internal"] = ["169.254.169.254"]
    check_unreachable(attack("http://metadata.google.internal/"))


@pytest.mark.parametrize(
    "host",
    [
        "::ffff:10.0.0.1",
        "::10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::a00:1",
        "2002:a00:1::",
        "2001:0:a00:1::",
        "2606:4700::5efe:10.0.0.1",
    ],
)
def test_6_ipv4_in_ipv6(attack: Attack, name_server: NameServer, host: str) -> None:
    check_unreachable(attack(f"http://[{host}]/"))
    name_server.names["carrier.example"] = [host]
    check_unreachable(attack("http://carrier.example/"))


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "fd00::1"])
def test_7_a_name_for_a_private_address(
    attack: Attack, inside: ImageServer, name_server: NameServer, address: str
) -> None:
    name_server.names["127.0.0.1.nip.example"] = [address]
    check_unreachable(attack(inside.url("/", "127.0.0.1.nip.example")))


@pytest.mark.parametrize("private", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("first", [True, False])
def test_8_a_name_for_a_public_and_a_private_address(
    attack: Attack, inside: ImageServer, name_server: NameServer, private: str, first: bool
) -> None:
    name_server.names["both.example"] = [private, PUBLIC] if first else [PUBLIC, private]
    check_unreachable(attack(inside.url("/", "both.example")))


def test_9_a_name_that_is_public_when_checked_and_private_afterwards(
    attack: Attack, inside: ImageServer, outside: ImageServer, name_server: NameServer
) -> None:
    name_server.names["rebind.example"] = lambda times: [PUBLIC if times == 0 else "127.0.0.1"]
    assert attack(outside.url("/image.jpg", "rebind.example")).json == "cricket"
    assert name_server.queries.count(("rebind.example", "A")) == 1
    assert outside.local_addresses == [PUBLIC]
    check_unreachable(attack(outside.url("/image.jpg", "rebind.example")))


def test_9_also_over_a_redirect(
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
def test_10_redirects(
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
def test_11_urls_that_mean_two_things(attack: Attack, inside: ImageServer, url: str) -> None:
    check_refused(attack(url.format(port=inside.port)))


@pytest.mark.parametrize("port", [0, 21, 22, 25, 6379, 8500, 8501, 9696, 10250, 65535])
def test_12_other_ports(attack: Attack, name_server: NameServer, port: int) -> None:
    check_refused(attack(f"http://public.example:{port}/"), "port")
    assert not name_server.queries


@pytest.mark.parametrize(
    "name", ["tf-serving", "kubernetes.default.svc", "sports-model.sports.svc.cluster.local"]
)
def test_13_names_of_the_cluster(
    attack: Attack, inside: ImageServer, name_server: NameServer, name: str
) -> None:
    name_server.names[name] = ["10.96.0.1"]
    check_unreachable(attack(f"http://{name}/"))
    assert {asked for asked, _ in name_server.queries} == {name}  # no search domains


@pytest.mark.parametrize(
    "slowness", [behaviour.drip, behaviour.drip_headers, behaviour.drip_chunks]
)
def test_14_a_source_that_drips(attack: Attack, outside: ImageServer, slowness) -> None:
    outside.routes["/slow"] = slowness
    response = attack(outside.url("/slow"))
    assert (response.status_code, response.json["title"]) == (504, "Source timeout")


@pytest.mark.parametrize("host", [PUBLIC, "silent.example"])
def test_15_a_source_or_a_name_server_that_hangs(
    attack: Attack, app: Flask, name_server: NameServer, host: str
) -> None:
    name_server.names["silent.example"] = None
    with socket.create_server((PUBLIC, 0)) as listener:
        port = listener.getsockname()[1]
        gateway = app.extensions["gateway"]
        gateway.classifier.fetcher.settings = replace(gateway.settings, allowed_ports=(port,))
        response = attack(f"http://{host}:{port}/")
    assert (response.status_code, response.json["title"]) == (504, "Source timeout")


@pytest.mark.parametrize(
    ("route", "status"),
    [
        (partial(answer, body=b"", Content_Length="10000000000"), 413),
        (partial(answer, body=b"", Content_Length="1" * 5000), 413),
        (partial(answer, body=b"\xff\xd8\xff", Content_Length="1"), 415),
        (behaviour.flood, 413),
        (behaviour.broken_off, 502),
        (partial(answer, body=b"", Content_Length="-1"), 502),
        (partial(answer, body=b"", Content_Length="nonsense"), 502),
    ],
)
def test_16_lengths_that_lie(attack: Attack, outside: ImageServer, route, status: int) -> None:
    outside.routes["/lie"] = route
    assert attack(outside.url("/lie")).status_code == status


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br", "zstd", "gzip, identity"])
def test_17_a_bomb_in_the_transfer(attack: Attack, outside: ImageServer, encoding: str) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    outside.routes["/bomb"] = lambda handler: answer(handler, bomb, Content_Encoding=encoding)
    check_refused(attack(outside.url("/bomb")), "compressed")
    assert outside.requests[0][1]["Accept-Encoding"] == "identity"


def many_frames(file_format: str) -> bytes:
    frames = [Image.new("L", (8, 8), number % 251) for number in range(10_000)]
    return encode(frames[0], file_format, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    "picture",
    [png_header(30_000, 30_000), png_header(2**31 - 1, 2**31 - 1)],
    ids=["30000", "most"],
)
def test_18_a_picture_of_more_pixels_than_any(
    attack: Attack, outside: ImageServer, picture: bytes
) -> None:
    outside.routes["/bomb.png"] = picture
    response = attack(outside.url("/bomb.png"))
    assert (response.status_code, response.json["title"]) in [
        (413, "Image too large"),
        (415, "Unsupported image"),
    ]


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP"])
def test_18_a_film_of_ten_thousand_pictures(
    attack: Attack, outside: ImageServer, file_format: str
) -> None:
    outside.routes["/film"] = many_frames(file_format)
    assert attack(outside.url("/film")).json == "cricket"


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
OTHER_FORMATS = {
    "svg": SVG,
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "fits": b"SIMPLE  =                    T".ljust(2880),
    "psd": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3) + bytes(12),
    **{name: encode(gradient(), name) for name in ("TIFF", "ICO", "PPM", "TGA", "JPEG2000")},
}


@pytest.mark.parametrize("name", OTHER_FORMATS)
@pytest.mark.parametrize("content_type", ["image/jpeg", "image/png", "image/svg+xml"])
def test_19_other_formats_whatever_they_are_called(
    attack: Attack, outside: ImageServer, name: str, content_type: str
) -> None:
    body = OTHER_FORMATS[name]
    outside.routes["/a.jpg"] = lambda handler: answer(handler, body, Content_Type=content_type)
    response = attack(outside.url("/a.jpg"))
    assert (response.status_code, response.json["title"]) == (415, "Unsupported image")


TURNED = Image.Exif()
TURNED[ExifTags.Base.Orientation] = 6
BROKEN = {
    "html": b"<!doctype html><title>%s</title>" % SECRET,
    "json": b'{"secret": "%s"}' % SECRET,
    "nothing": b"",
    "truncated": encode(gradient())[:2000],
    "header": b"\xff\xd8\xff\xe0",
}
LEGAL = {
    "cmyk": encode(gradient().convert("CMYK")),
    "sixteen bit": encode(Image.new("I;16", (40, 30), 40_000), "PNG"),
    "palette with alpha": encode(gradient().convert("P"), "PNG", transparency=3),
    "turned": encode(
        gradient(), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
    ),
    "large profile": encode(gradient(), icc_profile=bytes(500_000)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_20_what_is_no_picture(attack: Attack, outside: ImageServer, name: str) -> None:
    outside.routes["/a.jpg"] = BROKEN[name]
    assert attack(outside.url("/a.jpg")).status_code == 415


@pytest.mark.parametrize("name", LEGAL)
def test_20_pictures_that_are_unusual(attack: Attack, outside: ImageServer, name: str) -> None:
    outside.routes["/a.jpg"] = LEGAL[name]
    assert attack(outside.url("/a.jpg")).json == "cricket"


def test_21_an_open_port_a_closed_one_and_no_name_look_the_same(
    attack: Attack, inside: ImageServer, outside: ImageServer, name_server: NameServer
) -> None:
    name_server.names |= {"open.example": ["127.0.0.1"], "closed.example": [OTHER]}
    hosts = ["127.0.0.1", "10.0.0.1", OTHER, "open.example", "closed.example", "missing.example"]
    answers = [attack(outside.url("/", host)) for host in hosts]
    told = []
    for response in answers:
        problem = dict(response.json)
        problem.pop("request_id")
        told.append((response.status_code, problem))
    assert all(one == told[0] for one in told)
    check_unreachable(answers[0])


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_22_a_proxy_in_the_environment(
    attack: Attack,
    outside: ImageServer,
    inside: ImageServer,
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:{inside.port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert attack(outside.url("/image.jpg")).json == "cricket"


def test_23_nothing_that_is_logged_holds_a_line_of_its_own(
    attack: Attack,
    client: FlaskClient,
    outside: ImageServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def forged(handler) -> None:
        handler.wfile.write(
            b"HTTP/1.1 302 Found\r\nLocation: http://a\x0bb\x85level=forged/\r\n\r\n"
        )

    outside.routes["/forged"] = forged
    with caplog.at_level(logging.DEBUG):
        check_refused(attack(outside.url("/forged")))
        attack("http://a\nlevel=forged/")
        client.get("/a%0alevel=forged")
    lines = [ProcessorFormatter(**FORMAT).format(record) for record in caplog.records]
    assert sum("/predict" in line for line in lines) == 2
    assert any("forged" in line for line in lines)
    assert all(len(line.splitlines()) == 1 for line in lines)


def test_24_nobody_is_shot_at(app: Flask, outside: ImageServer, jpeg: bytes) -> None:
    most, now, gate = [0], [0], threading.Lock()

    def slow(handler) -> None:
        with gate:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.1)
        with gate:
            now[0] -= 1
        answer(handler, jpeg)

    outside.routes["/slow"] = slow
    statuses = []

    def ask() -> None:
        url = outside.url("/slow", "public.example")
        statuses.append(app.test_client().post("/predict", json={"url": url}).status_code)

    threads = [threading.Thread(target=ask) for _ in range(14)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == app.extensions["gateway"].settings.max_per_source == 8
    assert statuses == [200] * 14
    assert all("sports-gateway" in headers["User-Agent"] for _, headers in outside.requests)


def test_25_slow_urls_leave_the_rest_alone(app: Flask, outside: ImageServer) -> None:
    outside.routes["/slow"] = behaviour.drip
    answers = []

    def ask() -> None:
        answers.append(app.test_client().post("/predict", json={"url": outside.url("/slow")}))

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for thread in threads:
        thread.start()
    health = app.test_client().get("/healthz")
    for thread in threads:
        thread.join()
    assert health.status_code == 200
    places = app.extensions["gateway"].settings.max_in_flight
    refused = [response for response in answers if response.status_code == 429]
    assert len(refused) >= 100 - places
    assert all(int(response.headers["Retry-After"]) >= 1 for response in refused)
    assert {response.status_code for response in answers} <= {429, 504}


def expired(authority: trustme.CA) -> trustme.LeafCert:
    from datetime import datetime, timezone

    return authority.issue_cert(
        "public.example", not_after=datetime(2020, 1, 1, tzinfo=timezone.utc)
    )


@pytest.mark.parametrize("flaw", ["none", "expired", "unknown authority", "wrong name", "plain"])
def test_26_tls(
    attack: Attack,
    app: Flask,
    jpeg: bytes,
    flaw: str,
    tmp_path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    authority, other = trustme.CA(), trustme.CA()
    leaf = {
        "none": lambda: authority.issue_cert("public.example"),
        "expired": lambda: authority.issue_cert("public.example", not_after=LONG_AGO),
        "unknown authority": lambda: other.issue_cert("public.example"),
        "wrong name": lambda: authority.issue_cert("other.example", PUBLIC),
        "plain": lambda: None,
    }[flaw]()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "ca.pem"))
    tls = None
    if leaf:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        leaf.configure_cert(tls)
    server = ImageServer(tls, address=PUBLIC)
    server.routes["/image.jpg"] = jpeg
    gateway = app.extensions["gateway"]
    gateway.classifier.fetcher.settings = replace(
        gateway.classifier.fetcher.settings, allowed_ports=(server.port,)
    )
    response = attack(f"https://public.example:{server.port}/image.jpg")
    server.stop()
    if flaw == "none":
        assert response.json == "cricket"
    else:
        assert (response.status_code, response.json["title"]) == (502, "Source failed")
        assert not server.requests
