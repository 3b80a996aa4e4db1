"""From the bytes of an image to the pixels a model takes. Training and serving both use this."""

import io
import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from keras_image_helper import create_preprocessor
from PIL import ExifTags, Image

from gateway.errors import GatewayError, ImageTooExpensive, ImageTooLarge, UnsupportedImage

if TYPE_CHECKING:
    from PIL import ImageFile

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")  # Pillow's names
FORMAT_NAMES = "JPEG, PNG, WebP, GIF or BMP"  # for people
MAX_PIXELS = 50_000_000
MAX_WEBP_PIXELS = 25_000_000  # its decoder takes 16 bytes a pixel
WHITE = (255, 255, 255)
REDUCING_GAP = 2.0  # as Pillow's resize has it
BLOCK = 1024  # pixels across and down, about
Box = tuple[int, int, int, int]  # left, top, right, bottom

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
        ImageTooExpensive: the memory does not suffice.
        UnsupportedImage: the file is not one of the formats, or is broken.
    """
    with _translated_errors(max_pixels):
        if _is_webp(data):
            _check_pixels(_webp_size(data), min(max_pixels, MAX_WEBP_PIXELS))
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
    except MemoryError as error:
        raise ImageTooExpensive("Decoding the image takes too much memory.") from error
    except Exception as error:  # a decoder fed with a stranger's bytes raises anything
        raise UnsupportedImage(f"The image is not a readable {FORMAT_NAMES} file.") from error


def _too_large(max_pixels: int) -> ImageTooLarge:
    return ImageTooLarge(f"The image has more than {max_pixels} pixels.")


def _check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise _too_large(max_pixels)


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


def _shrink(image: "ImageFile.ImageFile", size: tuple[int, int]) -> Image.Image:
    image.draft(None, (max(size), max(size)))  # a JPEG decodes straight to 1/2, 1/4 or 1/8
    first = image.tile[0] if image.tile else None
    image.load()
    frame = first.extents if first and image.format == "GIF" else None
    if first and image.format == "PNG" and "transparency" in image.info:
        image.info["transparency"] = _transparency(image.info["transparency"], first.args)
    height, width = size
    orientation = _orientation(image)  # loads a PNG, too, but hides what is raised: so after load
    if orientation in SIDEWAYS:
        height, width = width, height
    small = _resize(image, (width, height), frame or (0, 0, *image.size))
    if orientation in UPRIGHT:
        small = small.transpose(UPRIGHT[orientation])
    return small.convert("RGB")


def _resize(image: Image.Image, size: tuple[int, int], frame: Box) -> Image.Image:
    """Resize to width and height; what is transparent or outside the frame becomes white."""
    whole = (0, 0, *image.size)
    if image.mode in ("L", "RGB") and not image.has_transparency_data and frame == whole:
        return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=REDUCING_GAP)
    # The same in two steps, the first one in blocks: copies of the whole would take much memory.
    (width, height) = image.size
    x_factor = max(1, int(width / size[0] / REDUCING_GAP))
    y_factor = max(1, int(height / size[1] / REDUCING_GAP))
    reduced = Image.new("RGB", (math.ceil(width / x_factor), math.ceil(height / y_factor)))
    x_step, y_step = (math.ceil(BLOCK / factor) * factor for factor in (x_factor, y_factor))
    for x, y in itertools.product(range(0, width, x_step), range(0, height, y_step)):
        box = (x, y, min(x + x_step, width), min(y + y_step, height))
        block = _on_white(image, box, frame).reduce((x_factor, y_factor))
        reduced.paste(block, (x // x_factor, y // y_factor))
    whole_reduced = (0, 0, width / x_factor, height / y_factor)
    return reduced.resize(size, Image.Resampling.BILINEAR, whole_reduced)


def _on_white(image: Image.Image, box: Box, frame: Box) -> Image.Image:
    """A part of the image in RGB; white where it is transparent or outside the frame."""
    flat = Image.new("RGB", (box[2] - box[0], box[3] - box[1]), WHITE)
    left, top = max(box[0], frame[0]), max(box[1], frame[1])
    right, bottom = min(box[2], frame[2]), min(box[3], frame[3])
    if left < right and top < bottom:
        part = image.crop((left, top, right, bottom))
        if part.mode.startswith("I"):  # 16 bits a pixel; Pillow's own conversion clips at 255
            values = np.asarray(part)
            grey = (values >> 8).astype(np.uint8)
            if "transparency" in image.info:
                grey[values == image.info["transparency"]] = 255
            part = Image.fromarray(grey)
        elif part.has_transparency_data:
            part = part.convert("RGBA")
        mask = part.getchannel("A") if part.mode == "RGBA" else None
        flat.paste(part.convert("RGB"), (left - box[0], top - box[1]), mask)
    return flat


def _transparency(value: Any, layout: Any) -> Any:
    """A PNG's transparent value in the range of Pillow's pixels, which Pillow forgets."""
    if layout == "RGB;16B":
        return tuple(part >> 8 for part in value)
    return value * {"L;2": 85, "L;4": 17}.get(layout, 1)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a broken EXIF block must not cost the image
        return 1
