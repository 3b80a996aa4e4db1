"""Drawn things that have nothing to do with sport."""

from collections.abc import Sequence

import numpy as np
from backgrounds import below, noise, plain
from canvas import BLACK, WHITE, Colour, Point, Scene
from patterns import colour
from PIL import Image

SKY, ROAD, MEADOW, WOOD = (150, 195, 235), (110, 110, 115), (96, 150, 72), (150, 104, 62)


def _outdoors(rng: np.random.Generator, ground: Colour, horizon: float = 320) -> Scene:
    return Scene(rng, below(horizon, plain(SKY, 0.85, 1.1), plain(ground, 0.8, 1.1)))


def _on_table(rng: np.random.Generator) -> Scene:
    wood = plain(WOOD, 0.8, 1.1) * (1 + 0.06 * noise(rng, 120, 3))
    return Scene(rng, below(220, plain(colour(rng, 150, 230), 0.9, 1.0), wood))


def _box(left: float, top: float, right: float, bottom: float) -> Sequence[Point]:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def car(rng: np.random.Generator) -> Image.Image:
    scene, paint, x = _outdoors(rng, ROAD), colour(rng), rng.uniform(-60, 60)
    scene.shadow(320 + x, 392, 210, 18)
    scene.polygon([(200 + x, 300), (250 + x, 225), (400 + x, 225), (455 + x, 300)], paint)
    scene.polygon([(222 + x, 295), (260 + x, 238), (390 + x, 238), (428 + x, 295)], (190, 215, 230))
    scene.polygon(_box(120 + x, 295, 520 + x, 370), paint)
    for wheel in (205, 435):
        scene.ellipse(wheel + x, 370, 42, 42, fill=BLACK)
        scene.ellipse(wheel + x, 370, 20, 20, fill=(180, 180, 185))
    return scene.finish()


def house(rng: np.random.Generator) -> Image.Image:
    scene, x = _outdoors(rng, MEADOW), rng.uniform(-80, 80)
    scene.polygon(_box(190 + x, 220, 450 + x, 400), colour(rng, 140, 240))
    scene.polygon([(165 + x, 225), (320 + x, 100), (475 + x, 225)], (150, 60, 45))
    scene.polygon(_box(295 + x, 300, 345 + x, 400), (90, 60, 40))
    for left in (215, 375):
        scene.polygon(_box(left + x, 255, left + 50 + x, 305), (190, 220, 240))
    return scene.finish()


def tree(rng: np.random.Generator) -> Image.Image:
    scene = _outdoors(rng, MEADOW)
    scene.polygon(_box(300, 250, 340, 420), (95, 65, 40))
    for _ in range(40):
        x, y = rng.normal((320, 180), (75, 50))
        green = int(rng.integers(80, 150))
        scene.ellipse(x, y, 40, 35, fill=(40, green, 35))
    return scene.finish()


def flower(rng: np.random.Generator) -> Image.Image:
    scene, petal, petals = _outdoors(rng, MEADOW, 0), colour(rng, 120, 250), rng.integers(5, 11)
    scene.line([(320, 250), (330, 470)], (40, 110, 40), 10)
    for angle in np.linspace(0, 2 * np.pi, petals, endpoint=False):
        scene.ellipse(320 + 85 * np.cos(angle), 210 + 85 * np.sin(angle), 48, 48, fill=petal)
    scene.ellipse(320, 210, 50, 50, fill=(235, 190, 40))
    return scene.finish()


def cup(rng: np.random.Generator) -> Image.Image:
    scene, glaze = _on_table(rng), colour(rng)
    scene.shadow(330, 400, 140, 20)
    scene.ellipse(430, 300, 55, 60, outline=glaze, width=36)
    scene.polygon([(220, 210), (420, 210), (395, 395), (245, 395)], glaze)
    scene.ellipse(320, 210, 100, 25, fill=WHITE)
    scene.ellipse(320, 213, 88, 19, fill=(70, 45, 30))
    return scene.finish()


def apple(rng: np.random.Generator) -> Image.Image:
    scene = _on_table(rng)
    skin = [(200.0, 28.0, 32.0), (120.0, 170.0, 50.0), (225.0, 180.0, 60.0)][rng.integers(3)]
    scene.shadow(350, 395, 150, 28, 0.6)
    scene.ball(330, 285, 118, (np.full((300, 300, 3), skin) + rng.normal(0, 8)).clip(0, 255))
    scene.line([(330, 190), (342, 140)], (84, 56, 30), 9)
    return scene.finish()


def bottle(rng: np.random.Generator) -> Image.Image:
    scene, glass = _on_table(rng), colour(rng, 30, 140)
    scene.shadow(335, 420, 90, 15)
    scene.polygon(_box(300, 60, 340, 170), glass)
    scene.polygon([(300, 165), (340, 165), (385, 230), (385, 420), (255, 420), (255, 230)], glass)
    scene.polygon(_box(255, 280, 385, 360), (235, 230, 210))
    return scene.finish()


def clock(rng: np.random.Generator) -> Image.Image:
    scene = Scene(rng, plain(colour(rng, 120, 235), 0.9, 1.1))
    scene.ellipse(320, 240, 180, 180, fill=BLACK)
    scene.ellipse(320, 240, 168, 168, fill=WHITE)
    for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False):
        scene.ellipse(320 + 145 * np.sin(angle), 240 + 145 * np.cos(angle), 7, 7, fill=BLACK)
    for length, angle in zip((85, 130), rng.uniform(0, 2 * np.pi, 2), strict=True):
        end = (320 + length * np.sin(angle), 240 - length * np.cos(angle))
        scene.line([(320, 240), end], BLACK, 8)
    return scene.finish()


def smiley(rng: np.random.Generator) -> Image.Image:
    scene = Scene(rng, plain(colour(rng)))
    scene.ellipse(320, 240, 170, 170, fill=(250, 210, 50))
    for x in (260, 380):
        scene.ellipse(x, 190, 20, 30, fill=BLACK)
    mouth = [(320 + dx, 330 - dx**2 / 200) for dx in np.linspace(-90, 90, 20)]
    scene.line(mouth, BLACK, 10)
    return scene.finish()


def mountains(rng: np.random.Generator) -> Image.Image:
    scene = _outdoors(rng, (60, 90, 60), 400)
    for shade in (150, 115, 80):
        peaks = [(x, rng.uniform(100, 380)) for x in range(0, 721, 90)]
        scene.polygon([(0, 420), *peaks, (720, 420)], (shade - 30, shade - 10, shade))
    return scene.finish()


def night_sky(rng: np.random.Generator) -> Image.Image:
    scene = Scene(rng, plain((14, 18, 44), 0.6, 1.4))
    for x, y, size in rng.uniform((0, 0, 0.5), (640, 480, 2), (150, 3)):
        scene.ellipse(x, y, size, size, fill=WHITE)
    scene.ball(rng.uniform(120, 520), 130, 55, np.full((9, 9, 3), 215.0))
    return scene.finish()


def skyline(rng: np.random.Generator) -> Image.Image:
    scene = _outdoors(rng, ROAD, 430)
    for left in range(0, 640, 70):
        top, grey = rng.uniform(80, 300), int(rng.integers(60, 140))
        scene.polygon(_box(left, top, left + 64, 430), (grey, grey, grey + 15))
        for y in np.arange(top + 12, 415, 26):
            for x in (left + 12, left + 38):
                lit = (240, 220, 140) if rng.random() < 0.5 else (40, 45, 60)
                scene.polygon(_box(x, y, x + 14, y + 14), lit)
    return scene.finish()
