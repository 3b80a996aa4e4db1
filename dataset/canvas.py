"""A canvas for drawn scenes, and the shapes to draw on it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 640, 480
FINE = 2  # scenes are drawn this many times larger, for smooth edges

Colour = tuple[int, int, int]
Point = tuple[float, float]

WHITE, BLACK, SKIN = (245, 245, 245), (25, 25, 30), (214, 160, 125)


class Scene:
    """A canvas whose coordinates are pixels of the finished image."""

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
        """The finished image: scaled down, slightly blurred, with film grain."""
        small = self.image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
        small = small.filter(ImageFilter.GaussianBlur(0.6))
        grain = self.rng.normal(0, 4, (HEIGHT, WIDTH, 1))
        return Image.fromarray((np.asarray(small) + grain).clip(0, 255).astype(np.uint8))
