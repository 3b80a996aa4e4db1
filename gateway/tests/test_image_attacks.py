"""Image files that fool decoders."""

import struct
import zlib

import numpy as np
import pytest
from gateway_testing.drawings import encode, gradient
from PIL import Image

from gateway.errors import UnsupportedImage
from gateway.images import preprocess


def test_a_png_with_destroyed_data_is_refused() -> None:
    data = bytearray(encode(gradient(), "PNG"))
    start, end = data.index(b"IDAT") + 40, data.index(b"IEND") - 8
    data[start:end] = b"\xff" * (end - start)
    with pytest.raises(UnsupportedImage):
        preprocess(bytes(data))


def png(bits: int, colour: int, row: bytes, transparent: bytes) -> bytes:
    """A PNG of 8 x 8 pixels, all rows alike."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, bits, colour, 0, 0, 0))
        + chunk(b"tRNS", transparent)
        + chunk(b"IDAT", zlib.compress((b"\0" + row) * 8))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("bits", "colour", "row", "transparent"),
    [
        (16, 0, b"\x12\x34" * 4 + b"\x00\x01" * 4, b"\x00\x01"),
        (16, 2, b"\x12\x34" * 12 + b"\x20\x30" * 12, b"\x20\x30" * 3),
        (4, 0, b"\x11\x11\x55\x55", b"\x00\x05"),
        (2, 0, b"\x00\x55", b"\x00\x01"),
        (1, 0, b"\x0f", b"\x00\x01"),
        (8, 0, b"\x11" * 4 + b"\x22" * 4, b"\x00\x22"),
    ],
)
def test_the_transparent_colour_of_a_png_is_white(
    bits: int, colour: int, row: bytes, transparent: bytes
) -> None:
    pixels = preprocess(png(bits, colour, row, transparent), (8, 8))
    assert (pixels[:, 5:] == 255).all()
    assert (pixels[:, :3] < 30).all()


def test_a_gif_is_white_around_its_first_frame() -> None:
    data = bytearray(encode(Image.new("RGB", (20, 20), "red"), "GIF"))
    data[6:10] = struct.pack("<HH", 40, 40)  # the size of the canvas
    pixels = preprocess(bytes(data), (40, 40)).astype(int)
    assert abs(pixels[10, 10] - (255, 0, 0)).max() < 10
    assert (pixels[25:, :] == 255).all()
    assert (pixels[:, 25:] == 255).all()


@pytest.mark.parametrize("size", [40, 3000])
def test_a_jpeg_with_two_sizes(size: int) -> None:
    narrow, wide = encode(gradient(size, size)), encode(gradient(2 * size, size))
    start = wide.index(b"\xff\xc0")
    second = wide[start : start + 2 + int.from_bytes(wide[start + 2 : start + 4], "big")]
    scan = narrow.index(b"\xff\xda")
    with pytest.raises(UnsupportedImage):
        preprocess(narrow[:scan] + second + narrow[scan:])


def test_a_bomb_in_the_second_frame_of_a_jpeg_is_not_decoded() -> None:
    first = gradient()
    data = bytearray(encode(first, "MPO", save_all=True, append_images=[gradient(60, 40)]))
    start = data.rindex(b"\xff\xc0")
    data[start + 5 : start + 9] = b"\xff\xff\xff\xff"
    np.testing.assert_array_equal(preprocess(bytes(data)), preprocess(encode(first)))


def test_an_icon_of_23_bytes() -> None:
    icon = b"\0\0\1\0\1\0" + bytes(8) + struct.pack("<II", 1, 22) + b"\x89"
    with pytest.raises(UnsupportedImage):
        preprocess(icon)
