"""What happens to pictures before they reach a service, to see what a model makes of it."""

import io
from collections.abc import Callable

from PIL import ExifTags, Image, ImageFilter, ImageOps

TURNED_RIGHT = 6  # EXIF orientation: the file lies on its left side


def _saved(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **{"quality": 95, **options})
    return file.getvalue()


def _half_size(image: Image.Image) -> bytes:
    return _saved(image.resize((max(1, image.width // 2), max(1, image.height // 2))))


def _turned_by_exif(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = TURNED_RIGHT
    return _saved(image.transpose(Image.Transpose.ROTATE_90), exif=exif)


# Each takes an upright RGB picture and gives a JPEG file.
DISTURBANCES: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG quality 20": lambda image: _saved(image, quality=20),
    "half the resolution": _half_size,
    "blurred (radius 2)": lambda image: _saved(image.filter(ImageFilter.GaussianBlur(2))),
    "grey": lambda image: _saved(ImageOps.grayscale(image)),
    "turned by EXIF": _turned_by_exif,
}


def disturb(name: str, data: bytes) -> bytes:
    """Disturb a picture file; `name` is a key of DISTURBANCES."""
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return DISTURBANCES[name](upright)
