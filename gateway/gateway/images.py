"""From the bytes of an image to the pixels a model takes. Training and serving both use this."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from keras_image_helper import create_preprocessor
from PIL import ExifTags, Image

from gateway.errors import GatewayError, ImageTooLarge, UnsupportedImage

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")  # Pillow's names
FORMAT_NAMES = "JPEG, PNG, WebP, GIF or BMP"  # for people
MAX_PIXELS = 50_000_000
WHITE = (255, 255, 255)

# EXIF orientation -> what brings the image upright (EXIF 2.32, tag 0x0112).
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = {5, 6, 7, 8}  # width and height are swapped


def declared_pixels(data: bytes, max_pixels: int = MAX_PIXELS) -> int:
    """Width times height as the file's head declares them; nothing is decoded.

    Args:
        data: a JPEG, PNG, WebP, GIF or BMP file.
        max_pixels: the most that the file may declare.

    Raises:
        ImageTooLarge: the file declares more than `max_pixels`.
        UnsupportedImage: the file is not one of the formats, or its head is broken.
    """
    with _translated_errors(max_pixels):
        if _is_webp(data):
            return _check_pixels(_webp_size(data), max_pixels)
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return _check_pixels(image.size, max_pixels)


def preprocess(
    data: bytes, size: tuple[int, int] = (299, 299), max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Decode an image and resize it to the model's size, ignoring the aspect ratio.

    Args:
        data: a JPEG, PNG, WebP, GIF or BMP file; the first frame counts.
        size: height and width of the result, in pixels.
        max_pixels: the most pixels the file may declare.

    Returns:
        uint8 array [height, width, 3], RGB, upright, transparency on white.

    Raises:
        ImageTooLarge: the file declares more than `max_pixels`.
        UnsupportedImage: the file is not one of the formats, or is broken.
    """
    with _translated_errors(max_pixels):
        if _is_webp(data):
            _check_pixels(_webp_size(data), max_pixels)
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_pixels(image.size, max_pixels)
            return np.asarray(_shrink(image, size))


def resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize uint8 [height, width, 3] to `size`, height and width, as `preprocess` does."""
    height, width = size
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)


def scale(images: np.ndarray) -> np.ndarray:
    """Scale pixels as InceptionV3 was trained: x / 127.5 - 1 (keras.applications.inception_v3).

    Args:
        images: uint8 array [N, height, width, 3].

    Returns:
        float32 array of the same shape, in [-1, 1].
    """
    preprocessor = create_preprocessor("inception_v3", target_size=images.shape[1:3])
    scaled: np.ndarray = preprocessor.preprocess(images.astype(np.float32))
    return scaled


@contextmanager
def _translated_errors(max_pixels: int) -> Iterator[None]:
    try:
        yield
    except GatewayError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(max_pixels) from error
    except Exception as error:  # a decoder fed with a stranger's bytes raises anything
        raise UnsupportedImage(f"The image is not a readable {FORMAT_NAMES} file.") from error


def _too_large(max_pixels: int) -> ImageTooLarge:
    return ImageTooLarge(f"The image has more than {max_pixels} pixels.")


def _check_pixels(size: tuple[int, int], max_pixels: int) -> int:
    if size[0] * size[1] > max_pixels:
        raise _too_large(max_pixels)
    return size[0] * size[1]


def _is_webp(data: bytes) -> bool:
    """Pillow allocates a WebP's pixels, twice, when it opens one; so its size is read here."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height of a WebP file, from its first chunk (RFC 9649, 2.5 to 2.7)."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        width, height = int.from_bytes(data[24:27], "little"), int.from_bytes(data[27:30], "little")
    elif chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = bits & 0x3FFF, bits >> 14 & 0x3FFF
    else:
        bits = int.from_bytes(data[26:30], "little")
        return bits & 0x3FFF, bits >> 16 & 0x3FFF
    return width + 1, height + 1


def _shrink(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    height, width = size
    orientation = _orientation(image)
    if orientation in SIDEWAYS:
        height, width = width, height
    image.draft(None, (width, height))  # a JPEG decodes straight to 1/2, 1/4 or 1/8, which is cheap
    image.load()
    if image.mode.startswith("I"):  # 16 bits a pixel; Pillow's own conversion clips at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    image = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    if image.mode == "RGBA":
        flat = Image.new("RGB", image.size, WHITE)
        flat.paste(image, mask=image.getchannel("A"))
        image = flat
    if orientation in UPRIGHT:
        image = image.transpose(UPRIGHT[orientation])
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a broken EXIF block must not cost the image
        return 1
