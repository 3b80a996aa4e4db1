"""Files that are broken, too large or of other formats."""

from typing import Any

import numpy as np
import pytest
from gateway_testing.drawings import encode, gradient, png_header
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gateway.errors import ImageTooLarge, UnsupportedImage
from gateway.images import FORMATS, _webp_size, preprocess


@pytest.mark.parametrize("file_format", ["TIFF", "ICO", "PPM", "JPEG2000", "PCX", "TGA", "PDF"])
def test_other_formats_are_refused(file_format: str) -> None:
    with pytest.raises(UnsupportedImage):
        preprocess(encode(gradient(64, 64), file_format))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xd8", b"<html>not an image</html>", b"<svg xmlns='http://www.w3.org/2000/svg'/>"],
)
def test_what_is_not_an_image_is_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedImage):
        preprocess(data)


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_truncated_file_is_refused(file_format: str) -> None:
    data = encode(gradient(), file_format)
    with pytest.raises(UnsupportedImage):
        preprocess(data[: len(data) // 2])


@pytest.mark.parametrize("side", [8_000, 12_000, 30_000])
def test_too_many_pixels_are_refused_before_decoding(side: int) -> None:
    with pytest.raises(ImageTooLarge):
        preprocess(png_header(side, side))


def test_the_pixel_limit_can_be_set() -> None:
    with pytest.raises(ImageTooLarge, match="1000 pixels"):
        preprocess(encode(gradient(40, 40)), max_pixels=1000)


def test_a_broken_exif_block_is_ignored() -> None:
    data = encode(gradient(), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(range(200)))
    assert preprocess(data).shape == (299, 299, 3)


TRANSPARENT = Image.new("RGBA", (100, 100), (200, 0, 0, 100))
SEEDS = [*(encode(gradient(64, 48), name) for name in FORMATS), encode(TRANSPARENT, "PNG")]


def check_pixels_or_refused(data: bytes) -> None:
    try:
        pixels = preprocess(data, (32, 32))
    except (UnsupportedImage, ImageTooLarge):
        return
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    check_pixels_or_refused(data)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SEEDS), st.data())
def test_a_damaged_image_is_decoded_or_refused(seed: bytes, data: st.DataObject) -> None:
    damaged = bytearray(seed)
    positions = st.integers(0, len(seed) - 1)
    for position, value in data.draw(
        st.lists(st.tuples(positions, st.integers(0, 255)), max_size=12)
    ):
        damaged[position] = value
    check_pixels_or_refused(bytes(damaged[: data.draw(positions) + 1]))


@settings(deadline=None)
@given(
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]),
    width=st.integers(1, 80),
    height=st.integers(1, 80),
    orientation=st.integers(0, 9),
)
def test_any_png_is_decoded(mode: str, width: int, height: int, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.new(mode, (width, height))
    assert preprocess(encode(image, "PNG", exif=exif), (17, 23)).shape == (17, 23, 3)


@pytest.mark.parametrize(
    ("options", "mode"),
    [({}, "RGB"), ({"lossless": True}, "RGB"), ({}, "RGBA"), ({"exif": b"x"}, "L")],
)
@pytest.mark.parametrize("size", [(1, 1), (300, 17), (5000, 3), (3, 16383)])
def test_the_size_of_a_webp_is_read_from_its_head(
    size: tuple[int, int], options: dict[str, Any], mode: str
) -> None:
    data = encode(Image.new(mode, size), "WEBP", **options)
    assert _webp_size(data) == size


def test_a_webp_of_too_many_pixels_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(encode(Image.new("RGBA", (9, 9)), "WEBP"))
    data[24:30] = (16382).to_bytes(3, "little") * 2
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(ImageTooLarge):
        preprocess(bytes(data))


def test_a_webp_file_without_a_size_is_refused() -> None:
    data = b"RIFF\0\0\0\0WEBP"
    with pytest.raises(UnsupportedImage):
        preprocess(data)
