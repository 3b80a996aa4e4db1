"""From the bytes of a picture to the pixels a model takes. Training and serving both use this."""

import io
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from keras_image_helper import create_preprocessor
from PIL import ExifTags, Image

from gateway.errors import GatewayError, ImageTooLarge, UnsupportedImage

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MAX_PIXELS = 50_000_000
WHITE = (255, 255, 255)

# EXIF orientation -> what brings the picture upright (EXIF 2.32, tag 0x0112).
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TURNED = {5, 6, 7, 8}  # width and height change places

# A stranger's broken metadata is not worth a line in our log; a picture of up
# to twice Pillow's own pixel limit is worth more than a line.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.simplefilter("error", Image.DecompressionBombWarning)


def preprocess(
    data: bytes,
    size: tuple[int, int] = (299, 299),
    max_pixels: int = MAX_PIXELS,
    reserve: Callable[[int], AbstractContextManager[None]] = lambda _: nullcontext(),
) -> np.ndarray:
    """Decode a picture and squeeze it to the model's size.

    Args:
        data: a JPEG, PNG, WebP, GIF or BMP file; the first frame counts.
        size: height and width of the result, in pixels.
        max_pixels: the most pixels the file may declare.
        reserve: called with the pixels that the file declares; they are decoded in its context.

    Returns:
        uint8 array [height, width, 3], RGB, upright, transparency on white.

    Raises:
        ImageTooLarge: the file declares more than `max_pixels`.
        UnsupportedImage: the file is not one of the formats, or is broken.
    """
    try:
        pixels = _declared_pixels(data)
        if pixels > max_pixels:
            raise ImageTooLarge(f"The picture has more than {max_pixels} pixels.")
        with reserve(pixels), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return np.asarray(_shrink(image, size))
    except GatewayError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLarge(f"The picture has more than {max_pixels} pixels.") from error
    except Exception as error:  # a decoder fed with a stranger's bytes raises anything
        raise UnsupportedImage(
            "The picture is not a readable JPEG, PNG, WebP, GIF or BMP file."
        ) from error


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


def _declared_pixels(data: bytes) -> int:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        width, height = _webp_size(data)  # to open one takes the memory of its pixels, twice
    else:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
    return width * height


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
    if orientation in TURNED:
        height, width = width, height
    image.draft(None, (width, height))  # a JPEG decodes straight to 1/2, 1/4 or 1/8, which is cheap
    image = _eight_bit(image).resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    if image.mode == "RGBA":
        flat = Image.new("RGB", image.size, WHITE)
        flat.paste(image, mask=image.getchannel("A"))
        image = flat
    if orientation in UPRIGHT:
        image = image.transpose(UPRIGHT[orientation])
    return image.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Bring any mode to L, RGB or RGBA without losing what can be seen."""
    image.load()
    if image.mode.startswith("I"):  # 16 bits a pixel; Pillow's own conversion clips at 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a broken EXIF block must not cost the picture
        return 1
