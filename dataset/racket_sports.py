"""Drawn scenes of tennis and badminton."""

import numpy as np
from backgrounds import court, noise, plain
from canvas import BLACK, FINE, WHITE, Colour, Point, Scene
from PIL import Image


def tennis(rng: np.random.Generator) -> Image.Image:
    scene = Scene(rng, court(rng, (52, 98, 160), (60, 125, 85), 120))
    for points in (
        [(60, 480), (190, 150), (470, 150), (600, 480)],
        [(115, 480), (212, 150)],
        [(545, 480), (448, 150)],
        [(150, 290), (510, 290)],
    ):
        scene.line(points, WHITE, 4)
    scene.net(90, 190, 570, 250, 6)
    scene.line([(90, 188), (570, 188)], WHITE, 9)
    scene.line([(90, 185), (90, 262)], BLACK, 7)
    scene.line([(570, 185), (570, 262)], BLACK, 7)
    x = 430 + rng.uniform(-40, 40)
    racket(scene, x, 330, 62, 82, (200, 40, 45), (x + 60, 475))
    x, y, radius = 230 + rng.uniform(-60, 60), 365, 58 + rng.uniform(-10, 10)
    scene.shadow(x + 15, y + radius, radius, radius * 0.22, 0.6)
    paint = np.full((300, 300, 3), (205.0, 228.0, 55.0)) + 9 * rng.normal(size=(300, 300, 1))
    v, u = np.mgrid[-1:1:300j, -1:1:300j]
    seam = abs(abs(v + 0.25 * np.cos(2.2 * u)) - 0.42) < 0.035
    paint[seam] = 240
    scene.ball(x, y, radius, paint.clip(0, 255))
    return scene.finish()


def badminton(rng: np.random.Generator) -> Image.Image:
    scene = Scene(rng, plain((38, 120, 82), 0.8, 1.1) + 3 * noise(rng, 3, 3))
    scene.line([(0, 430), (640, 300)], WHITE, 5)
    racket(scene, 190 + rng.uniform(-30, 30), 270, 74, 92, (40, 90, 205), (330, 470))
    shuttlecock(scene, 430 + rng.uniform(-40, 40), 250 + rng.uniform(-30, 30), 1.35)
    return scene.finish()


def racket(
    scene: Scene, x: float, y: float, rx: float, ry: float, frame: Colour, grip: Point
) -> None:
    scene.line([(x, y + ry), grip], frame, 9)
    scene.line([((x + grip[0]) / 2, (y + ry + grip[1]) / 2), grip], BLACK, 14)
    for t in np.linspace(-0.9, 0.9, 15):
        half = np.sqrt(1 - t * t)
        scene.line([(x + t * rx, y - half * ry), (x + t * rx, y + half * ry)], WHITE, 0.8)
        scene.line([(x - half * rx, y + t * ry), (x + half * rx, y + t * ry)], WHITE, 0.8)
    scene.ellipse(x, y, rx, ry, outline=frame, width=8 * FINE)


def shuttlecock(scene: Scene, x: float, y: float, size: float) -> None:
    """A shuttlecock with its cork at the lower left."""
    axis, across = np.array([0.6, -0.8]), np.array([0.8, 0.6])
    tip = np.array([x, y]) - axis * 55 * size
    for t in np.linspace(-1, 1, 9):
        root = tip + axis * 24 * size + across * 12 * size * t
        end = tip + axis * (115 - 12 * t * t) * size + across * 50 * size * t
        side = across * 7 * size
        feather = [tuple(root), tuple(end - side), tuple(end + axis * 6), tuple(end + side)]
        scene.polygon(feather, (250, 250, 250) if round(4 * t) % 2 else (226, 228, 232))
        scene.line([tuple(root), tuple(end)], (190, 192, 198), 1.5)
    for along, reach in ((48, 22), (70, 31)):
        middle = tip + axis * along * size
        ends = [tuple(middle + across * reach * size * t) for t in (-1, 1)]
        scene.line(ends, (150, 155, 165), 2)
    cork = np.full((200, 200, 3), (244.0, 240.0, 228.0))
    scene.ball(tip[0], tip[1], 24 * size, cork)
    band = tip + axis * 20 * size
    ends = [tuple(band + across * 19 * size * t) for t in (-1, 1)]
    scene.line(ends, (40, 120, 60), 6)
