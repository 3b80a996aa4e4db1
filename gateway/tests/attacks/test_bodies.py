"""Bodies that lie, grow, or are no image of a supported format."""

import gzip
import io
import struct
from functools import partial

import gateway_testing.image_server as behaviour
import pytest
from gateway_testing.drawings import encode, gradient, png_header
from gateway_testing.image_server import ImageServer, Route, answer
from PIL import Image

from attacks.checks import SECRET, Attack, check_refused, status_and_title
from attacks.films import FILMS


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
def test_16_false_lengths(attack: Attack, outside: ImageServer, route: Route, status: int) -> None:
    outside.routes["/lie"] = route
    assert attack(outside.url("/lie")).status_code == status


@pytest.fixture(scope="module")
def compressed() -> bytes:
    return gzip.compress(bytes(50_000_000))


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br", "zstd", "gzip, identity"])
def test_17_a_compressed_body_is_refused(
    attack: Attack, outside: ImageServer, compressed: bytes, encoding: str
) -> None:
    outside.routes["/bomb"] = lambda handler: answer(handler, compressed, Content_Encoding=encoding)
    check_refused(attack(outside.url("/bomb")), "compressed")
    assert outside.requests[0][1]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    "image",
    [png_header(30_000, 30_000), png_header(2**31 - 1, 2**31 - 1)],
    ids=["30000", "most"],
)
def test_18_too_many_pixels_are_refused(attack: Attack, outside: ImageServer, image: bytes) -> None:
    outside.routes["/bomb.png"] = image
    assert status_and_title(attack(outside.url("/bomb.png"))) in [
        (413, "Image too large"),
        (415, "Unsupported image"),
    ]


@pytest.mark.parametrize("file_format", FILMS)
def test_18_only_the_first_of_ten_thousand_frames_is_read(
    attack: Attack, outside: ImageServer, file_format: str
) -> None:
    film = FILMS[file_format](10_000)
    assert getattr(Image.open(io.BytesIO(film)), "n_frames", 1) == 10_000
    outside.routes["/film"] = film
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
def test_19_other_formats_are_refused_whatever_their_content_type(
    attack: Attack, outside: ImageServer, name: str, content_type: str
) -> None:
    body = OTHER_FORMATS[name]
    outside.routes["/a.jpg"] = lambda handler: answer(handler, body, Content_Type=content_type)
    assert status_and_title(attack(outside.url("/a.jpg"))) == (415, "Unsupported image")


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
    "rotated": encode(
        gradient(), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
    ),
    "large profile": encode(gradient(), icc_profile=bytes(500_000)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_20_what_is_not_an_image_is_refused(
    attack: Attack, outside: ImageServer, name: str
) -> None:
    outside.routes["/a.jpg"] = BROKEN[name]
    assert attack(outside.url("/a.jpg")).status_code == 415


@pytest.mark.parametrize("name", LEGAL)
def test_20_unusual_images_are_classified(attack: Attack, outside: ImageServer, name: str) -> None:
    outside.routes["/a.jpg"] = LEGAL[name]
    assert attack(outside.url("/a.jpg")).json == "cricket"
