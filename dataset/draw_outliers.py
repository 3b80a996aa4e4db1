"""Draw abstract images, to train on as outliers: areas, noise, waves, shapes, lines and text.

    python dataset/draw_outliers.py FOLDER    # a folder for each of these labels

They are random on purpose, and none is one of the things that `draw_unknown.py` draws.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from backgrounds import below, plain
from backgrounds import noise as noise_layer
from canvas import HEIGHT, Colour, Scene
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIZE = 299
LETTERS = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,.-:;       ")
QUALITY = (50, 96)  # of the JPEG files


def _colour(rng: np.random.Generator) -> Colour:
    red, green, blue = rng.integers(0, 256, 3).tolist()
    return red, green, blue


def _points(rng: np.random.Generator, count: int) -> list[tuple[float, float]]:
    """Near one place of the image."""
    place, spread = rng.uniform(0, SIZE, 2), rng.uniform(10, 120)
    return [tuple(point) for point in rng.normal(place, spread, (count, 2))]


def area(rng: np.random.Generator) -> Image.Image:
    """One colour, or a soft transition of a few."""
    cells = rng.integers(0, 256, (*rng.integers(1, 4, 2), 3), np.uint8)
    return Image.fromarray(cells).resize((SIZE, SIZE), Image.Resampling.BICUBIC)


def noise(rng: np.random.Generator) -> Image.Image:
    """Noise of one size of grain, with or without colour."""
    side = int(SIZE / np.exp(rng.uniform(0, np.log(60))))
    levels = rng.normal(128, rng.uniform(15, 120), (side, side, rng.choice([1, 3])))
    cells = np.broadcast_to(levels.clip(0, 255), (side, side, 3)).astype(np.uint8)
    filters = (Image.Resampling.NEAREST, Image.Resampling.BICUBIC)
    tinted = Image.blend(Image.fromarray(cells), Image.new("RGB", (side, side), _colour(rng)), 0.3)
    return tinted.resize((SIZE, SIZE), filters[rng.integers(2)])


def waves(rng: np.random.Generator) -> Image.Image:
    """Two waves multiplied: stripes, tiles and ripples."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - rng.uniform(0, 1, (2, 1, 1))
    angle, (first, second) = rng.uniform(0, np.pi), rng.uniform(0, 120, 2)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = np.hypot(x, y) if rng.random() < 0.4 else y * np.cos(angle) - x * np.sin(angle)
    wave = np.sin(first * along) * np.cos(second * across)
    share = (np.tanh(rng.uniform(0.5, 20) * wave)[..., None] + 1) / 2
    pixels = share * np.array(_colour(rng)) + (1 - share) * np.array(_colour(rng))
    return Image.fromarray(pixels.astype(np.uint8))


def _background(rng: np.random.Generator) -> Image.Image:
    """White, or another of these images."""
    kinds = (lambda _: Image.new("RGB", (SIZE, SIZE), "white"), area, area, noise, waves)
    image: Image.Image = kinds[rng.integers(len(kinds))](rng)
    return image


def shapes(rng: np.random.Generator) -> Image.Image:
    """Ellipses, boxes and polygons; some are lit from above, as solid things are."""
    image = _background(rng)
    for _ in range(rng.integers(1, 16)):
        mask = Image.new("L", image.size)
        draw = ImageDraw.Draw(mask)
        box = np.sort(rng.uniform(-20, SIZE + 20, (2, 2)), axis=0).ravel().tolist()
        kind = rng.integers(4)
        if kind == 0:
            draw.ellipse(box, fill=255)
        elif kind == 1:
            draw.rounded_rectangle(box, rng.uniform(0, 30), fill=255)
        elif kind == 2:
            start, end = rng.uniform(0, 360, 2).tolist()
            draw.pieslice(box, start, end, fill=255)
        else:
            draw.polygon(_points(rng, int(rng.integers(3, 8))), fill=255)
        paint = area(rng) if rng.random() < 0.3 else Image.new("RGB", image.size, _colour(rng))
        if rng.random() < 0.3:
            shade = np.linspace(1.3, 0.5, SIZE)[:, None, None]
            paint = Image.fromarray((np.asarray(paint) * shade).clip(0, 255).astype(np.uint8))
        image.paste(paint, mask=mask)
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.5)))


def solids(rng: np.random.Generator) -> Image.Image:
    """Balls and boxes, lit and with shadows, on a ground or in front of a wall."""
    horizon = rng.uniform(-200, HEIGHT)
    ground = plain(_colour(rng), 0.8, 1.1) + rng.uniform(0, 12) * noise_layer(rng, 100, 4)
    scene = Scene(rng, below(horizon, plain(_colour(rng), *rng.uniform(0.7, 1.2, 2)), ground))
    for _ in range(rng.integers(1, 4)):
        x, y, size = rng.uniform((80, 80, 20), (560, 400, 170)).tolist()
        scene.shadow(x, y + size, size, size / 5)
        if rng.random() < 0.6:
            scene.ball(x, y, size, np.asarray(area(rng).resize((99, 99))).astype(float))
        else:
            right, bottom = rng.uniform((x, y), (x + size, y + size)).tolist()
            scene.polygon([(x - size, y - size), (right, y - size), (x, bottom)], _colour(rng))
            scene.ellipse(x, y, size / 2, rng.uniform(10, size), fill=_colour(rng))
    return scene.finish()


def lines(rng: np.random.Generator) -> Image.Image:
    """Straight and curved strokes."""
    image = _background(rng)
    draw, spread = ImageDraw.Draw(image), rng.uniform(0.2, 1)
    for _ in range(rng.integers(2, 60)):
        colour, width = _colour(rng), int(rng.integers(1, 12))
        if rng.random() < 0.6:
            steps = rng.normal(0, 60 * spread, (rng.integers(2, 20), 2)).cumsum(0)
            path = (rng.uniform(0, SIZE, 2) + steps).tolist()
            draw.line([tuple(point) for point in path], colour, width, "curve")
        else:
            box = np.sort(rng.uniform(-50, SIZE + 50, (2, 2)), axis=0).ravel().tolist()
            start, end = rng.uniform(0, 360, 2).tolist()
            draw.arc(box, start, end, colour, width)
    return image


def text(rng: np.random.Generator) -> Image.Image:
    """Letters and digits of any size and colour."""
    image = _background(rng)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(1, 5)):
        font = ImageFont.load_default(int(rng.integers(8, 60)))
        rows = ["".join(rng.choice(LETTERS, 40)) for _ in range(rng.integers(1, 30))]
        corner = tuple(rng.uniform(-20, SIZE / 2, 2))
        colour = (20, 20, 20) if rng.random() < 0.5 else _colour(rng)
        draw.multiline_text(corner, "\n".join(rows), colour, font)
    return image


KINDS: tuple[Callable[[np.random.Generator], Image.Image], ...] = (
    area,
    noise,
    waves,
    shapes,
    solids,
    lines,
    text,
)


def write(folder: Path, count: int) -> None:
    """Draw `count` images of each kind into a folder for its label."""
    for index, kind in enumerate(KINDS):
        target = folder / f"drawn {kind.__name__}"
        target.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            rng = np.random.default_rng([7, index, number])
            quality = int(rng.integers(*QUALITY))
            kind(rng).save(target / f"{number}.jpg", quality=quality)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument("--count", type=int, default=200, help="images of each label")
    flags = parser.parse_args()
    write(flags.folder, flags.count)


if __name__ == "__main__":
    main()
