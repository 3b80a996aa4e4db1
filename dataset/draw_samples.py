"""Draw the sample pictures: one scene for each of the seven sports, and one of none.

    python dataset/draw_samples.py            # writes dataset/samples/*.jpg anew

Everything in them is drawn here. `write_dataset` draws many
variations, in the Kaggle layout, to try the trainer on.
"""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 640, 480
FINE = 2  # drawn this many times larger, for smooth edges
SEED = 20
Colour = tuple[int, int, int]
Point = tuple[float, float]

WHITE, BLACK, SKIN = (245, 245, 245), (25, 25, 30), (214, 160, 125)


class Scene:
    """A canvas in units of the finished picture's pixels."""

    def __init__(self, rng: np.random.Generator, background: np.ndarray) -> None:
        self.rng = rng
        self.image = Image.fromarray(background.clip(0, 255).astype(np.uint8))
        self.draw = ImageDraw.Draw(self.image)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        self.draw.polygon([(x * FINE, y * FINE) for x, y in points], fill=colour)

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        scaled = [(x * FINE, y * FINE) for x, y in points]
        self.draw.line(scaled, fill=colour, width=max(1, round(width * FINE)), joint="curve")
        for x, y in scaled:  # round ends
            r = width * FINE / 2
            self.draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def ellipse(self, x: float, y: float, rx: float, ry: float, **style: Any) -> None:
        box = ((x - rx) * FINE, (y - ry) * FINE, (x + rx) * FINE, (y + ry) * FINE)
        self.draw.ellipse(box, **style)

    def shadow(self, x: float, y: float, rx: float, ry: float, strength: float = 0.5) -> None:
        """Darken a soft ellipse."""
        mask = Image.new("L", self.image.size)
        box = ((x - rx) * FINE, (y - ry) * FINE, (x + rx) * FINE, (y + ry) * FINE)
        ImageDraw.Draw(mask).ellipse(box, fill=round(255 * strength))
        mask = mask.filter(ImageFilter.GaussianBlur(ry * FINE / 2))
        self.image.paste((10, 15, 10), mask=mask)

    def ball(self, x: float, y: float, radius: float, paint: np.ndarray) -> None:
        """Paste a sphere; `paint` is its front, float [S, S, 3], lit from the upper left."""
        size = round(2 * radius * FINE)
        v, u = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
        inside = u**2 + v**2 < 1
        z = np.sqrt(np.clip(1 - u**2 - v**2, 0, 1))
        light = np.clip(-0.45 * u - 0.6 * v + 0.66 * z, 0, 1)
        front = Image.fromarray(paint.astype(np.uint8)).resize((size, size))
        shaded = np.asarray(front) * (0.35 + 0.75 * light[..., None])
        shaded += 70 * np.clip(light - 0.86, 0, 1)[..., None] / 0.14
        mask = Image.fromarray((255 * inside).astype(np.uint8))
        ball = Image.fromarray(shaded.clip(0, 255).astype(np.uint8))
        self.image.paste(ball, (round((x - radius) * FINE), round((y - radius) * FINE)), mask)

    def net(self, left: float, top: float, right: float, bottom: float, mesh: float) -> None:
        for x in np.arange(left, right, mesh):
            self.line([(x, top), (x, bottom)], (205, 208, 210), 0.7)
        for y in np.arange(top, bottom, mesh):
            self.line([(left, y), (right, y)], (205, 208, 210), 0.7)

    def figure(self, joints: dict[str, Point], suit: dict[str, Colour], thick: float) -> None:
        """A person: joints by name, and the colours of torso, arms and legs."""
        for side in ("left", "right"):
            hip, knee, foot = (joints[f"{side}_{part}"] for part in ("hip", "knee", "foot"))
            self.line([hip, knee], suit["thighs"], thick * 1.25)
            self.line([knee, foot], suit["shins"], thick)
            self.line([foot, (foot[0] + thick * 0.7, foot[1] + 2)], suit["feet"], thick * 0.7)
        shoulders = [joints["left_shoulder"], joints["right_shoulder"]]
        hips = [joints["right_hip"], joints["left_hip"]]
        self.polygon([*shoulders, *hips], suit["torso"])
        for a, b in (shoulders, hips, (shoulders[0], hips[1]), (shoulders[1], hips[0])):
            self.line([a, b], suit["torso"], thick * 1.2)
        neck = tuple((a + b) / 2 for a, b in zip(*shoulders, strict=True))
        self.line([neck, joints["head"]], SKIN, thick * 0.9)
        for side in ("left", "right"):
            shoulder, elbow, hand = (
                joints[f"{side}_{part}"] for part in ("shoulder", "elbow", "hand")
            )
            self.line([shoulder, elbow], suit["upper_arms"], thick)
            self.line([elbow, hand], suit["forearms"], thick * 0.8)
            self.ellipse(*hand, thick * 0.5, thick * 0.5, fill=SKIN)
        x, y = joints["head"]
        self.ellipse(x, y, thick * 0.95, thick * 1.15, fill=SKIN)
        hair = ((x - thick) * FINE, (y - 1.3 * thick) * FINE, (x + thick) * FINE, y * FINE)
        self.draw.pieslice(hair, 180, 360, fill=(45, 32, 25))

    def finish(self) -> Image.Image:
        """Scale down, with the grain and the softness of a photograph."""
        small = self.image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
        small = small.filter(ImageFilter.GaussianBlur(0.6))
        grain = self.rng.normal(0, 4, (HEIGHT, WIDTH, 1))
        return Image.fromarray((np.asarray(small) + grain).clip(0, 255).astype(np.uint8))


def noise(rng: np.random.Generator, cell_width: float, cell_height: float) -> np.ndarray:
    """Smooth noise around 0 over the whole canvas: float [H, W, 1]."""
    shape = (max(2, round(HEIGHT / cell_height)), max(2, round(WIDTH / cell_width)))
    cells = Image.fromarray(rng.normal(0, 1, shape).astype(np.float32))
    size = (WIDTH * FINE, HEIGHT * FINE)
    return np.asarray(cells.resize(size, Image.Resampling.BICUBIC))[..., None]


def plain(colour: Colour, top: float = 1.0, bottom: float = 1.0) -> np.ndarray:
    """One colour, with a brightness that runs from the top to the bottom."""
    shade = np.linspace(top, bottom, HEIGHT * FINE)[:, None, None]
    return shade * np.array(colour, float) * np.ones((1, WIDTH * FINE, 1))


def below(horizon: float, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    rows = np.arange(HEIGHT * FINE)[:, None, None]
    return np.where(rows < horizon * FINE, upper, lower)


def crowd(rng: np.random.Generator) -> np.ndarray:
    """A stand full of people, far out of focus."""
    colours = rng.integers(20, 220, (40, 70, 3)).astype(np.uint8)
    size = (WIDTH * FINE, HEIGHT * FINE)
    blurred = Image.fromarray(colours).resize(size).filter(ImageFilter.GaussianBlur(7 * FINE))
    return np.asarray(blurred) * 0.75


def grass(rng: np.random.Generator, stripes: int = 8) -> np.ndarray:
    bands = np.sign(np.sin(np.linspace(0, stripes * np.pi, WIDTH * FINE)))[None, :, None]
    return plain((62, 128, 44), 0.85, 1.1) * (1 + 0.06 * bands) + 9 * noise(rng, 2, 4)


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
    """The front of a football: black pentagons at an icosahedron's corners, seams between."""
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


def court(rng: np.random.Generator, colour: Colour, around: Colour, horizon: float) -> np.ndarray:
    floor = below(horizon + 25, plain(around, 0.9, 1.0), plain(colour, 0.85, 1.1))
    return below(horizon, crowd(rng), floor + 3 * noise(rng, 3, 3))


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


def shuttlecock(scene: Scene, x: float, y: float, size: float) -> None:
    """Feathers that open to the upper right, a cork at the lower left."""
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
    """Freestyle, to the right, an arm over the water."""
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


def mats(rng: np.random.Generator, first: Colour, second: Colour) -> np.ndarray:
    """A hall with a mat of two colours."""
    wall = plain((186, 180, 168), 0.75, 1.0) + 4 * noise(rng, 60, 60)
    edge = below(400, plain(first, 0.9, 1.05), plain(second, 0.95, 1.05))
    return below(230, wall, edge + 3 * noise(rng, 4, 4))


def karate(rng: np.random.Generator) -> Image.Image:
    scene = Scene(rng, mats(rng, (52, 92, 168), (178, 44, 50)))
    for x in range(-200, 900, 110):
        scene.line([(x, 480), (320 + (x - 320) * 0.55, 230)], (36, 66, 130), 2)
    karateka(scene, 205 + rng.uniform(-25, 25), 165, 1, (190, 30, 40), kicks=True)
    karateka(scene, 440 + rng.uniform(-20, 20), 165, -1, (35, 60, 170), kicks=False)
    return scene.finish()


def karateka(scene: Scene, x: float, y: float, facing: int, belt: Colour, kicks: bool) -> None:
    gi = (244, 244, 242)
    suit = dict.fromkeys(("torso", "upper_arms", "forearms", "thighs", "shins"), gi)
    suit["feet"] = SKIN

    def at(dx: float, dy: float) -> Point:
        return x + facing * dx, y + dy

    joints = {
        "head": at(-4, -46), "left_shoulder": at(-24, 0), "right_shoulder": at(26, 0),
        "left_elbow": at(-34, 42), "right_elbow": at(60, 18),
        "left_hand": at(-4, 52), "right_hand": at(98, 6),
        "left_hip": at(-18, 92), "right_hip": at(20, 92),
        "left_knee": at(-42, 160), "right_knee": at(48, 156),
        "left_foot": at(-64, 230), "right_foot": at(62, 230),
    }  # fmt: skip
    if kicks:
        joints |= {"right_knee": at(80, 66), "right_foot": at(158, 18)}
    scene.shadow(x, y + 240, 80, 14)
    scene.figure(joints, suit, 24)
    scene.line([at(-12, -6), at(6, 50), at(-6, 88)], (205, 205, 208), 3)  # the jacket's edge
    scene.line([at(20, -6), at(6, 50)], (205, 205, 208), 3)
    scene.line([joints["left_hip"], joints["right_hip"]], belt, 11)
    scene.line([at(4, 92), at(-6, 132)], belt, 7)
    scene.line([at(4, 92), at(16, 130)], belt, 7)
    for hand in ("left_hand", "right_hand"):
        scene.ellipse(*joints[hand], 15, 14, fill=belt)  # gloves


def wrestling(rng: np.random.Generator) -> Image.Image:
    scene = Scene(rng, below(150, crowd(rng), plain((222, 160, 40), 0.9, 1.05)))
    scene.ellipse(320, 400, 330, 190, fill=(206, 60, 44))
    scene.ellipse(320, 400, 285, 155, fill=(232, 182, 60))
    x = 320 + rng.uniform(-30, 30)
    scene.shadow(x, 400, 190, 26)
    wrestler(scene, x - 88, 215, 1, (200, 32, 42))
    wrestler(scene, x + 88, 215, -1, (32, 62, 175))
    return scene.finish()


def wrestler(scene: Scene, x: float, y: float, facing: int, singlet: Colour) -> None:
    """Bent forward, arms locked with the other."""
    suit = {"torso": singlet, "thighs": singlet, "shins": SKIN, "feet": BLACK}
    suit |= {"upper_arms": SKIN, "forearms": SKIN}

    def at(dx: float, dy: float) -> Point:
        return x + facing * dx, y + dy

    joints = {
        "head": at(76, -2), "left_shoulder": at(48, 6), "right_shoulder": at(54, 34),
        "left_elbow": at(98, 12), "right_elbow": at(92, 58),
        "left_hand": at(140, 24), "right_hand": at(126, 40),
        "left_hip": at(-34, 52), "right_hip": at(-24, 74),
        "left_knee": at(-54, 120), "right_knee": at(22, 126),
        "left_foot": at(-84, 182), "right_foot": at(6, 186),
    }  # fmt: skip
    scene.figure(joints, suit, 30)


def apple(rng: np.random.Generator) -> Image.Image:
    """None of the seven."""
    table = plain((150, 104, 62), 0.8, 1.1) * (1 + 0.06 * noise(rng, 120, 3))
    scene = Scene(rng, below(190, plain((214, 206, 190), 0.9, 1.0), table))
    scene.shadow(350, 395, 150, 28, 0.6)
    paint = np.full((300, 300, 3), (200.0, 28.0, 32.0)) + 10 * rng.normal(size=(300, 300, 1))
    scene.ball(330, 285, 118, paint.clip(0, 255))
    scene.line([(330, 190), (342, 140)], (84, 56, 30), 9)
    scene.polygon([(342, 150), (395, 120), (430, 140), (385, 165)], (70, 140, 50))
    return scene.finish()


SPORTS: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "badminton": badminton,
    "cricket": cricket,
    "karate": karate,
    "soccer": soccer,
    "swimming": swimming,
    "tennis": tennis,
    "wrestling": wrestling,
}


def write_dataset(folder: Path, pictures_per_label: int, seed: int) -> None:
    """Draw variations of each sport in the Kaggle layout."""
    (folder / "train").mkdir(parents=True)
    with (folder / "train.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image_ID", "label"])
        for label, scene in SPORTS.items():
            for number in range(pictures_per_label):
                name = f"{label}{number}.jpg"
                scene(np.random.default_rng([seed, number])).save(folder / "train" / name)
                rows.writerow([name, label.title()])


def main() -> None:
    folder = Path(__file__).parent / "samples"
    folder.mkdir(exist_ok=True)
    for name, scene in {**SPORTS, "apple": apple}.items():
        scene(np.random.default_rng(SEED)).save(folder / f"{name}.jpg", quality=85)


if __name__ == "__main__":
    main()
