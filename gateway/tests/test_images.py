"""What becomes of an image's pixels."""

import io

import numpy as np
import pytest
from gateway_testing.drawings import encode, gradient
from PIL import Image, ImageOps

from gateway.images import FORMATS, preprocess, resize, scale


def reference(image: Image.Image, size: int = 299) -> np.ndarray:
    small = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(small).astype(int)


@pytest.mark.parametrize("file_format", FORMATS)
def test_each_format_is_decoded(file_format: str) -> None:
    pixels = preprocess(encode(gradient(), file_format))
    assert pixels.shape == (299, 299, 3)
    assert pixels.dtype == np.uint8
    off = abs(pixels - reference(gradient())).mean()
    assert off < (8 if file_format == "GIF" else 2)


def test_a_large_jpeg_is_decoded_at_reduced_scale_with_the_same_result() -> None:
    data = encode(gradient(2400, 1800), quality=95)
    full = Image.open(io.BytesIO(data))
    assert abs(preprocess(data) - reference(full)).max() <= 6


def test_the_size_can_be_set() -> None:
    assert preprocess(encode(gradient()), (150, 200)).shape == (150, 200, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_undone(orientation: int, file_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(gradient(), file_format, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert abs(preprocess(data) - reference(upright)).mean() < 2


def test_an_invalid_orientation_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    assert abs(preprocess(encode(gradient(), exif=exif)) - reference(gradient())).mean() < 2


def test_cmyk_is_converted_to_rgb() -> None:
    data = encode(gradient().convert("CMYK"))
    assert abs(preprocess(data) - reference(gradient())).mean() < 4


def test_sixteen_bit_grey_keeps_its_range() -> None:
    values = np.tile(np.linspace(0, 65535, 299).astype(np.uint16), (299, 1))
    pixels = preprocess(encode(Image.fromarray(values), "PNG"))
    assert abs(pixels[..., 0] - (values >> 8).astype(int)).max() <= 1
    assert (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_modes_with_few_colours_are_converted(mode: str) -> None:
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


def test_a_transparent_palette_colour_becomes_white() -> None:
    image = Image.new("P", (50, 50), 1)
    image.putpalette([0, 0, 0, 0, 0, 255])
    image.paste(0, (25, 0, 50, 50))
    pixels = preprocess(encode(image, "PNG", transparency=0))
    assert (pixels[:, 200:] == 255).all()
    assert tuple(pixels[10, 10]) == (0, 0, 255)


def test_only_the_first_frame_is_used() -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue", "green")]
    for file_format in ("GIF", "WEBP", "PNG"):
        data = encode(frames[0], file_format, save_all=True, append_images=frames[1:])
        red, _, blue = preprocess(data)[150, 150]
        assert red > 200
        assert blue < 60


def test_a_phones_multi_image_jpeg_is_decoded() -> None:
    data = encode(gradient(), "MPO", save_all=True, append_images=[gradient(60, 40)])
    assert abs(preprocess(data) - reference(gradient())).mean() < 2


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1)])
def test_extreme_shapes_are_resized(size: tuple[int, int]) -> None:
    assert preprocess(encode(Image.new("RGB", size, "red"))).shape == (299, 299, 3)


def test_pixels_are_scaled_as_for_inception_v3() -> None:
    images = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    scaled = scale(images)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, images / 127.5 - 1, atol=1e-6)


def test_decoded_pixels_are_resized_like_a_file() -> None:
    decoded = preprocess(encode(gradient(), "PNG"), (240, 320))
    resized = resize(decoded, (150, 200))
    assert resized.dtype == np.uint8
    assert abs(resized.astype(int) - preprocess(encode(gradient(), "PNG"), (150, 200))).mean() < 1
