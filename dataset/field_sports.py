"""Drawn scenes of soccer and cricket."""

import numpy as np
from backgrounds import below, crowd, grass
from canvas import BLACK, WHITE, WIDTH, Scene
from PIL import Image


def soccer(rng: np.random.Generator) -> Image.Image:
    scene = Scene(rng, below(150, crowd(rng), grass(rng)))
    left, right, top, ground = 150 + rng.uniform(-60, 60), 560, 50, 215
    scene.net(left, top, right, ground, 11)
    scene.line([(left, ground), (left, top), (right, top), (right, ground)], WHITE, 7)
    scene.line([(0, ground + 3), (WIDTH, ground + 3)], WHITE, 4)
    scene.line([(0, 300), (WIDTH, 340)], WHITE, 5)
    x, y, radius = 250 + rng.uniform(-90, 90), 340, 78 + rng.uniform(-15, 15)
    scene.shadow(x + 22, y + radius, radius * 1.1, radius * 0.22, 0.6)
    scene.ball(x, y, radius, truncated_icosahedron(rng))
    return scene.finish()


def truncated_icosahedron(rng: np.random.Generator, size: int = 300) -> np.ndarray:
    """The front of a football: black pentagons at an icosahedron's corners, seams between them."""
    golden = (1 + 5**0.5) / 2
    corners = np.array(
        [(0, a, b) for a in (-1, 1) for b in (-golden, golden)]
        + [(a, b, 0) for a in (-1, 1) for b in (-golden, golden)]
        + [(b, 0, a) for a in (-1, 1) for b in (-golden, golden)]
    )
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    corners = corners / np.linalg.norm(corners[0]) @ rotation
    v, u = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    surface = np.stack([u, v, np.sqrt(np.clip(1 - u**2 - v**2, 0, 1))], -1)
    nearest = np.sort(surface @ corners.T, axis=-1)
    black = nearest[..., -1] > 0.925
    seam = (nearest[..., -1] - nearest[..., -2] < 0.02) & ~black
    paint = np.full((size, size, 3), 238.0)
    paint[seam] = 150
    paint[black] = 28
    return paint


def cricket(rng: np.random.Generator) -> Image.Image:
    scene = Scene(rng, below(130, crowd(rng), grass(rng, 5)))
    scene.polygon([(235, 135), (405, 135), (600, 480), (40, 480)], (196, 168, 118))
    scene.line([(120, 385), (520, 385)], WHITE, 4)
    for x in (290, 322, 354):
        scene.shadow(x + 14, 372, 20, 5, 0.5)
        scene.line([(x, 175), (x, 370)], (226, 190, 130), 11)
        scene.line([(x - 3, 175), (x - 3, 370)], (242, 214, 160), 3)
    for x in (306, 338):
        scene.line([(x - 13, 170), (x + 13, 170)], (190, 140, 80), 6)
    batter(scene, 455 + rng.uniform(-15, 15), 175)
    left = 170 + rng.uniform(-40, 40)
    paint = np.full((200, 200, 3), (165.0, 25.0, 28.0))
    paint[92:96] = paint[104:108] = 235
    scene.shadow(left + 8, 430, 32, 8, 0.6)
    scene.ball(left, 400, 32, paint)
    return scene.finish()


def batter(scene: Scene, x: float, y: float) -> None:
    white = (238, 238, 232)
    suit = dict.fromkeys(("torso", "upper_arms", "forearms", "thighs", "shins", "feet"), white)
    scene.shadow(x, y + 228, 70, 12)
    joints = {
        "head": (x - 12, y - 42), "left_shoulder": (x - 26, y), "right_shoulder": (x + 18, y + 2),
        "left_elbow": (x - 50, y + 32), "right_elbow": (x - 16, y + 42),
        "left_hand": (x - 60, y + 62), "right_hand": (x - 54, y + 72),
        "left_hip": (x - 14, y + 96), "right_hip": (x + 20, y + 96),
        "left_knee": (x - 40, y + 155), "right_knee": (x + 40, y + 158),
        "left_foot": (x - 42, y + 222), "right_foot": (x + 48, y + 222),
    }  # fmt: skip
    scene.figure(joints, suit, 20)
    for side in ("left", "right"):  # pads
        knee, foot = joints[f"{side}_knee"], joints[f"{side}_foot"]
        scene.line([knee, foot], (250, 250, 250), 30)
    scene.ellipse(x - 12, y - 48, 24, 22, fill=(25, 60, 130))  # helmet
    scene.line([(x - 36, y - 42), (x - 6, y - 42)], (25, 60, 130), 6)
    scene.line([(x - 57, y + 68), (x - 80, y + 110)], BLACK, 9)
    scene.line([(x - 84, y + 118), (x - 118, y + 205)], (222, 184, 128), 24)
