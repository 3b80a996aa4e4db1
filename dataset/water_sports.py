"""A drawn scene of swimming."""

import numpy as np
from backgrounds import noise, plain
from canvas import BLACK, SKIN, WHITE, Colour, Scene
from PIL import Image


def swimming(rng: np.random.Generator) -> Image.Image:
    ripples = 16 * noise(rng, 26, 7) + 10 * noise(rng, 9, 4)
    water = plain((28, 132, 196), 0.85, 1.1) + ripples * np.array([0.6, 1.0, 1.0])
    scene = Scene(rng, water)
    for y, slope in ((70, 10), (205, 16), (375, 24)):
        colours = ((220, 35, 40), WHITE, (30, 60, 170), WHITE)
        for i, x in enumerate(range(-10, 660, 14)):
            height = y + slope * (x / 640) + 2 * np.sin(x / 23)
            scene.ellipse(x, height + 5, 9, 4, fill=(18, 96, 150))
            scene.ellipse(x, height, 8, 6, fill=colours[i // 5 % 4])
    swimmer(scene, 330 + rng.uniform(-60, 60), 292, (225, 40, 50))
    swimmer(scene, 180 + rng.uniform(-60, 60), 142, (250, 210, 40))
    return scene.finish()


def swimmer(scene: Scene, x: float, y: float, cap: Colour) -> None:
    """A freestyle swimmer who moves to the right."""
    scene.line([(x - 150, y + 8), (x - 10, y)], (150, 120, 110), 24)
    scene.line([(x - 60, y), (x - 5, y - 4)], SKIN, 30)
    scene.line([(x - 10, y - 6), (x + 22, y - 52), (x + 75, y - 14)], SKIN, 15)
    scene.line([(x + 10, y + 10), (x + 95, y + 14)], SKIN, 12)
    scene.ellipse(x + 24, y - 2, 22, 18, fill=SKIN)
    scene.ellipse(x + 22, y - 7, 23, 15, fill=cap)
    scene.line([(x + 32, y + 2), (x + 43, y + 3)], BLACK, 6)
    for middle, spread, count in (((x + 80, y + 4), 22, 130), ((x - 165, y + 2), 34, 260)):
        for _ in range(count):
            dx, dy = scene.rng.normal(0, spread), -abs(scene.rng.normal(0, spread * 0.55)) + 8
            radius = scene.rng.uniform(0.8, 4.5)
            scene.ellipse(middle[0] + dx, middle[1] + dy, radius, radius, fill=(235, 246, 252))
