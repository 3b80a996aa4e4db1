"""Random changes of one image: crop, loss of quality, colour, and small deformations."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

CROP_AREA = (0.35, 1.0)
CROP_ASPECT = (0.75, 1.33)
DEGRADED_SHARE = 0.6
DEGRADED_SIDE = (0.3, 0.8)  # of the side
JPEG_SHARE, JPEG_QUALITY = 0.7, (30, 95)
FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
GREY_SHARE = 0.2
CHANGES = 2  # how many of CHANGE are applied
GREY = (124, 116, 104)

# Each takes an image and a strength from -1 to 1 (Cubuk et al. 2020, without inversions).
CHANGE: tuple[Callable[[Image.Image, float], Image.Image], ...] = (
    lambda image, strength: ImageEnhance.Brightness(image).enhance(1 + 0.5 * strength),
    lambda image, strength: ImageEnhance.Contrast(image).enhance(1 + 0.5 * strength),
    lambda image, strength: ImageEnhance.Color(image).enhance(1 + 0.7 * strength),
    lambda image, strength: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * strength),
    lambda image, strength: image.filter(ImageFilter.GaussianBlur(1.2 * abs(strength))),
    lambda image, strength: Image.blend(image, ImageOps.autocontrast(image, 2), abs(strength)),
    lambda image, strength: Image.blend(image, ImageOps.equalize(image), abs(strength)),
    lambda image, strength: ImageOps.posterize(image, 8 - round(4 * abs(strength))),
    lambda image, strength: _tint(image, strength),
    lambda image, strength: image.rotate(15 * strength, Image.Resampling.BILINEAR, fillcolor=GREY),
    lambda image, strength: _shear(image, (1, 0.2 * strength, 0, 0, 1, 0)),
    lambda image, strength: _shear(image, (1, 0, 0, 0.2 * strength, 1, 0)),
)


def augment(pixels: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A randomly changed crop.

    Args:
        pixels: uint8 [side, side, 3].
        size: height and width of the crop, in pixels.
        rng: the source of randomness.

    Returns:
        uint8 [size, size, 3].
    """
    image = Image.fromarray(pixels)
    if rng.random() < DEGRADED_SHARE:
        image = degrade(image, rng)
    box = crop_box(image.width, rng)
    image = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for change in rng.choice(len(CHANGE), CHANGES, replace=False):
        image = CHANGE[change](image, rng.uniform(-1, 1))
    if rng.random() < GREY_SHARE:
        image = ImageOps.grayscale(image).convert("RGB")
    return np.asarray(image)


def degrade(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Reduce a square and, mostly, compress it, so that low quality does not indicate a label.

    Other sports come from collections of smaller and more compressed images.
    """
    side = round(image.width * rng.uniform(*DEGRADED_SIDE))
    image = image.resize((side, side), FILTERS[rng.integers(len(FILTERS))])
    if rng.random() < JPEG_SHARE:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=int(rng.integers(*JPEG_QUALITY)))
        image = Image.open(file).convert("RGB")
    return image


def crop_box(side: int, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """A random box of a square: left, upper, right, lower."""
    area, aspect = rng.uniform(*CROP_AREA), np.exp(rng.uniform(*np.log(CROP_ASPECT)))
    width = min(side, side * np.sqrt(area * aspect))
    height = min(side, side * np.sqrt(area / aspect))
    left, upper = rng.uniform(0, side - width), rng.uniform(0, side - height)
    return left, upper, left + width, upper + height


def _tint(image: Image.Image, strength: float) -> Image.Image:
    """Shift the balance of red and blue, as artificial light does."""
    factors = np.array([1 + 0.25 * strength, 1.0, 1 - 0.25 * strength])
    return Image.fromarray(np.clip(np.asarray(image) * factors, 0, 255).astype(np.uint8))


def _shear(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    return image.transform(
        image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=GREY
    )
