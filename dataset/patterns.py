"""Images without a scene: plain areas, noise, patterns, text and charts."""

from itertools import pairwise

import numpy as np
from backgrounds import noise, plain
from canvas import BLACK, HEIGHT, WHITE, WIDTH, Colour, Scene
from PIL import Image, ImageDraw, ImageFont

WORDS = ["the", "a", "of", "time", "people", "model", "error", "table", "year", "report", "light"]


def colour(rng: np.random.Generator, darkest: int = 20, lightest: int = 235) -> Colour:
    red, green, blue = rng.integers(darkest, lightest, 3)
    return int(red), int(green), int(blue)


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """y and x of each pixel, 0 in the centre and 1 half a height from it: float [H, W]."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return (y - HEIGHT / 2) / (HEIGHT / 2), (x - WIDTH / 2) / (HEIGHT / 2)


def _mixed(share: np.ndarray, first: Colour, second: Colour) -> Image.Image:
    """Two colours, in the shares of the second one: float [H, W], 0 to 1."""
    pixels = np.array(first) + share[..., None] * (np.array(second, float) - first)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def black(rng: np.random.Generator) -> Image.Image:
    """Black, or nearly so."""
    return Image.new("RGB", (WIDTH, HEIGHT), (int(rng.integers(0, 12)),) * 3)


def one_colour(rng: np.random.Generator) -> Image.Image:
    return Image.new("RGB", (WIDTH, HEIGHT), colour(rng, 0, 256))


def gradient(rng: np.random.Generator) -> Image.Image:
    y, x = _grid()
    angle = rng.uniform(0, 2 * np.pi)
    return _mixed((x * np.cos(angle) + y * np.sin(angle)) / 3 + 0.5, colour(rng), colour(rng))


def white_noise(rng: np.random.Generator) -> Image.Image:
    channels = rng.choice([1, 3])
    pixels = rng.integers(0, 256, (HEIGHT, WIDTH, channels), np.uint8)
    return Image.fromarray(np.broadcast_to(pixels, (HEIGHT, WIDTH, 3)).copy())


def clouds(rng: np.random.Generator) -> Image.Image:
    """Noise of several sizes."""
    cells = [200, 80, 30, 10]
    layers = sum(cell * noise(rng, cell, cell) for cell in cells) / sum(cells)
    return Scene(rng, plain(colour(rng)) + 60 * layers).finish()


def checkerboard(rng: np.random.Generator) -> Image.Image:
    side = int(rng.integers(15, 90))
    y, x = np.mgrid[:HEIGHT, :WIDTH] // side
    return _mixed((x + y) % 2.0, colour(rng), colour(rng))


def stripes(rng: np.random.Generator) -> Image.Image:
    y, x = _grid()
    angle, width = rng.uniform(0, np.pi), rng.uniform(8, 40)
    waves = np.sin(width * (x * np.cos(angle) + y * np.sin(angle)))
    return _mixed(waves > 0, colour(rng), colour(rng))


def rings(rng: np.random.Generator) -> Image.Image:
    y, x = _grid()
    arms = rng.integers(0, 4)  # without arms, circles
    waves = np.sin(rng.uniform(15, 50) * np.hypot(x, y) + arms * np.arctan2(y, x))
    return _mixed((waves + 1) / 2, colour(rng), colour(rng))


def fractal(rng: np.random.Generator) -> Image.Image:
    """A part of the Mandelbrot set."""
    y, x = _grid()
    z, steps = np.zeros(x.shape, complex), np.zeros(x.shape)
    points = -0.7 + 0.3j * rng.uniform(-1, 1) + rng.uniform(0.4, 1.3) * (x + 1j * y)
    for _ in range(40):
        inside = abs(z) < 2
        z[inside] = z[inside] ** 2 + points[inside]
        steps += inside
    return _mixed((steps / 40) ** 0.5, colour(rng), colour(rng))


def squares(rng: np.random.Generator) -> Image.Image:
    """Black and white cells, as of a two-dimensional bar code."""
    cells = rng.integers(0, 2, (24, 24), np.uint8) * 255
    page = Image.new("RGB", (WIDTH, HEIGHT), WHITE)
    page.paste(Image.fromarray(cells).resize((400, 400), Image.Resampling.NEAREST), (120, 40))
    return page


def text(rng: np.random.Generator) -> Image.Image:
    """A page of words."""
    size = int(rng.integers(14, 30))
    page = Image.new("RGB", (WIDTH, HEIGHT), (250, 248, 242))
    lines = [" ".join(rng.choice(WORDS, 14)) for _ in range(HEIGHT // size)]
    font = ImageFont.load_default(size)
    ImageDraw.Draw(page).multiline_text((40, 30), "\n".join(lines), BLACK, font)
    return page


def table(rng: np.random.Generator) -> Image.Image:
    """A grid of numbers."""
    page = Image.new("RGB", (WIDTH, HEIGHT), WHITE)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(18)
    for y in range(0, HEIGHT, 40):
        draw.rectangle((0, y, WIDTH, y), fill=(170, 170, 175))
        for x in range(0, WIDTH, 90):
            draw.text((x + 12, y + 10), str(rng.integers(10_000)), BLACK, font)
    return page


def line_chart(rng: np.random.Generator) -> Image.Image:
    scene = Scene(rng, plain(WHITE))
    scene.line([(60, 40), (60, 430), (600, 430)], BLACK, 2)
    for _ in range(3):
        heights = 230 + np.cumsum(rng.normal(0, 22, 28))
        points = list(zip(np.linspace(60, 600, 28), heights.clip(40, 425), strict=True))
        scene.line(points, colour(rng), 3)
    return scene.finish()


def pie_chart(rng: np.random.Generator) -> Image.Image:
    page = Image.new("RGB", (WIDTH, HEIGHT), WHITE)
    edges = [0, *np.sort(rng.uniform(0, 360, 4)), 360]
    for start, end in pairwise(edges):
        ImageDraw.Draw(page).pieslice((140, 60, 500, 420), start, end, colour(rng))
    return page
