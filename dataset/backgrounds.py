"""Backgrounds of drawn scenes: float arrays [H, W, 3] in a canvas' resolution."""

import numpy as np
from canvas import FINE, HEIGHT, WIDTH, Colour
from PIL import Image, ImageFilter


def noise(rng: np.random.Generator, cell_width: float, cell_height: float) -> np.ndarray:
    """Smooth noise around 0 over the whole canvas: float [H, W, 1]."""
    shape = (max(2, round(HEIGHT / cell_height)), max(2, round(WIDTH / cell_width)))
    cells = Image.fromarray(rng.normal(0, 1, shape).astype(np.float32))
    size = (WIDTH * FINE, HEIGHT * FINE)
    return np.asarray(cells.resize(size, Image.Resampling.BICUBIC))[..., None]


def plain(colour: Colour, top: float = 1.0, bottom: float = 1.0) -> np.ndarray:
    """One colour whose brightness changes linearly from top to bottom."""
    shade = np.linspace(top, bottom, HEIGHT * FINE)[:, None, None]
    canvas: np.ndarray = shade * np.array(colour, float) * np.ones((1, WIDTH * FINE, 1))
    return canvas


def below(horizon: float, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    rows = np.arange(HEIGHT * FINE)[:, None, None]
    return np.where(rows < horizon * FINE, upper, lower)


def crowd(rng: np.random.Generator) -> np.ndarray:
    """Spectators, out of focus."""
    colours = rng.integers(20, 220, (40, 70, 3)).astype(np.uint8)
    size = (WIDTH * FINE, HEIGHT * FINE)
    blurred = Image.fromarray(colours).resize(size).filter(ImageFilter.GaussianBlur(7 * FINE))
    return np.asarray(blurred) * 0.75


def grass(rng: np.random.Generator, stripes: int = 8) -> np.ndarray:
    bands = np.sign(np.sin(np.linspace(0, stripes * np.pi, WIDTH * FINE)))[None, :, None]
    green = plain((62, 128, 44), 0.85, 1.1) * (1 + 0.06 * bands)
    lawn: np.ndarray = green + 9 * noise(rng, 2, 4)
    return lawn


def court(rng: np.random.Generator, colour: Colour, around: Colour, horizon: float) -> np.ndarray:
    floor = below(horizon + 25, plain(around, 0.9, 1.0), plain(colour, 0.85, 1.1))
    return below(horizon, crowd(rng), floor + 3 * noise(rng, 3, 3))
