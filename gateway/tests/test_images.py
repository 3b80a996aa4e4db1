import io

import numpy as np
import pytest
from gateway_testing.drawings import encode, gradient, png_header
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from gateway.errors import ImageTooLarge, UnsupportedImage
from gateway.images import _webp_size, preprocess, scale


def reference(image: Image.Image, size: int = 299) -> np.ndarray:
    small = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(small).astype(int)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_each_format_keeps_the_picture(file_format: str) -> None:
    pixels = preprocess(encode(gradient(), file_format))
    assert pixels.shape == (299, 299, 3)
    assert pixels.dtype == np.uint8
    off = abs(pixels - reference(gradient())).mean()
    assert off < (8 if file_format == "GIF" else 2)


def test_a_large_jpeg_decoded_at_reduced_scale_looks_like_the_full_decode() -> None:
    data = encode(gradient(2400, 1800), quality=95)
    full = Image.open(io.BytesIO(data))
    assert abs(preprocess(data) - reference(full)).max() <= 6


def test_another_size() -> None:
    assert preprocess(encode(gradient()), (150, 200)).shape == (150, 200, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_undone(orientation: int, file_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(gradient(), file_format, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert abs(preprocess(data) - reference(upright)).mean() < 2


def test_an_orientation_that_does_not_exist_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    assert abs(preprocess(encode(gradient(), exif=exif)) - reference(gradient())).mean() < 2


def test_cmyk() -> None:
    data = encode(gradient().convert("CMYK"))
    assert abs(preprocess(data) - reference(gradient())).mean() < 4


def test_sixteen_bit_grey_keeps_its_range() -> None:
    values = np.tile(np.linspace(0, 65535, 299).astype(np.uint16), (299, 1))
    pixels = preprocess(encode(Image.fromarray(values), "PNG"))
    assert abs(pixels[..., 0] - (values >> 8).astype(int)).max() <= 1
    assert (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_modes_without_full_colour(mode: str) -> None:
    image = gradient().convert(mode)
    assert abs(preprocess(encode(image, "PNG")) - reference(image)).mean() < 3


def clear_right_half(mode: str) -> Image.Image:
    image = Image.new("RGBA", (100, 100), (200, 0, 0, 255))
    image.paste((0, 0, 0, 0), (50, 0, 100, 100))
    return image.convert(mode)


@pytest.mark.parametrize(
    ("mode", "file_format"),
    [("RGBA", "PNG"), ("LA", "PNG"), ("PA", "PNG"), ("RGBA", "WEBP"), ("P", "GIF")],
)
def test_transparency_becomes_white(mode: str, file_format: str) -> None:
    mode = "RGBA" if mode in ("PA", "P") else mode
    image = clear_right_half(mode)
    options = {"lossless": True} if file_format == "WEBP" else {}
    pixels = preprocess(encode(image, file_format, **options))
    assert (pixels[:, 250:] == 255).all()
    assert pixels[:, :100, 1].max() < 100


def test_palette_with_a_transparent_colour() -> None:
    image = Image.new("P", (50, 50), 1)
    image.putpalette([0, 0, 0, 0, 0, 255])
    image.paste(0, (25, 0, 50, 50))
    pixels = preprocess(encode(image, "PNG", transparency=0))
    assert (pixels[:, 200:] == 255).all()
    assert tuple(pixels[10, 10]) == (0, 0, 255)


def test_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue", "green")]
    for file_format in ("GIF", "WEBP", "PNG"):
        data = encode(frames[0], file_format, save_all=True, append_images=frames[1:])
        red, _, blue = preprocess(data)[150, 150]
        assert red > 200
        assert blue < 60


def test_a_phones_multi_picture_jpeg() -> None:
    data = encode(gradient(), "MPO", save_all=True, append_images=[gradient(60, 40)])
    assert abs(preprocess(data) - reference(gradient())).mean() < 2


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1)])
def test_odd_shapes(size: tuple[int, int]) -> None:
    assert preprocess(encode(Image.new("RGB", size, "red"))).shape == (299, 299, 3)


@pytest.mark.parametrize("file_format", ["TIFF", "ICO", "PPM", "JPEG2000", "PCX", "TGA", "PDF"])
def test_formats_that_are_not_taken(file_format: str) -> None:
    with pytest.raises(UnsupportedImage):
        preprocess(encode(gradient(64, 64), file_format))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xd8", b"<html>not a picture</html>", b"<svg xmlns='http://www.w3.org/2000/svg'/>"],
)
def test_what_is_no_picture(data: bytes) -> None:
    with pytest.raises(UnsupportedImage):
        preprocess(data)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_truncated_file(file_format: str) -> None:
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


def test_a_broken_exif_block_does_not_cost_the_picture() -> None:
    data = encode(gradient(), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(range(200)))
    assert preprocess(data).shape == (299, 299, 3)


def test_scale_is_that_of_inception_v3() -> None:
    images = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    scaled = scale(images)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, images / 127.5 - 1, atol=1e-6)


SEEDS = [
    encode(gradient(64, 48), "JPEG"),
    encode(gradient(64, 48), "PNG"),
    encode(gradient(64, 48), "GIF"),
    encode(gradient(64, 48), "WEBP"),
    encode(gradient(64, 48), "BMP"),
    encode(clear_right_half("RGBA"), "PNG"),
]


def yields_pixels_or_a_known_error(data: bytes) -> None:
    try:
        pixels = preprocess(data, (32, 32))
    except (UnsupportedImage, ImageTooLarge):
        return
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    yields_pixels_or_a_known_error(data)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SEEDS), st.data())
def test_any_damage_to_a_picture(seed: bytes, data: st.DataObject) -> None:
    damaged = bytearray(seed)
    places = st.integers(0, len(seed) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=12)):
        damaged[place] = value
    yields_pixels_or_a_known_error(bytes(damaged[: data.draw(places) + 1]))


@settings(deadline=None)
@given(
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]),
    width=st.integers(1, 80),
    height=st.integers(1, 80),
    orientation=st.integers(0, 9),
)
def test_any_png(mode: str, width: int, height: int, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.new(mode, (width, height))
    assert preprocess(encode(image, "PNG", exif=exif), (17, 23)).shape == (17, 23, 3)


@pytest.mark.parametrize(
    ("options", "mode"),
    [({}, "RGB"), ({"lossless": True}, "RGB"), ({}, "RGBA"), ({"exif": b"x"}, "L")],
)
@pytest.mark.parametrize("size", [(1, 1), (300, 17), (5000, 3), (3, 16383)])
def test_a_webps_size_is_read_without_opening_it(
    size: tuple[int, int], options: dict, mode: str
) -> None:
    data = encode(Image.new(mode, size), "WEBP", **options)
    assert _webp_size(data) == size


def test_a_webp_of_too_many_pixels_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(encode(Image.new("RGBA", (9, 9)), "WEBP"))
    data[24:30] = (16382).to_bytes(3, "little") * 2
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(ImageTooLarge):
        preprocess(bytes(data))
