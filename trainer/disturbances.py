"""Ways in which images are degraded before they reach a service, to measure robustness."""

import io
from collections.abc import Callable

from PIL import ExifTags, Image, ImageFilter, ImageOps

ROTATED_RIGHT = 6  # EXIF orientation: the stored image is rotated a quarter turn to the left

SQUARE = 224  # pixels; data sets are often stored like this


def _encode(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **{"quality": 95, **options})
    return file.getvalue()


def _half_size(image: Image.Image) -> bytes:
    return _encode(image.resize((max(1, image.width // 2), max(1, image.height // 2))))


def _rotated_by_exif(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = ROTATED_RIGHT
    return _encode(image.transpose(Image.Transpose.ROTATE_90), exif=exif)


def _squeezed(image: Image.Image) -> bytes:
    return _encode(image.resize((SQUARE, SQUARE), Image.Resampling.BILINEAR, reducing_gap=2.0))


# Each takes an upright RGB image and returns a JPEG file.
DISTURBANCES: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG quality 20": lambda image: _encode(image, quality=20),
    "half the resolution": _half_size,
    "blurred (radius 2)": lambda image: _encode(image.filter(ImageFilter.GaussianBlur(2))),
    "greyscale": lambda image: _encode(ImageOps.grayscale(image)),
    f"squeezed to {SQUARE} x {SQUARE}": _squeezed,
    "rotated by EXIF": _rotated_by_exif,
}


def disturb(name: str, data: bytes) -> bytes:
    """Degrade an image file; `name` is a key of DISTURBANCES."""
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return DISTURBANCES[name](upright)
