"""Drawn scenes of karate and wrestling."""

import numpy as np
from backgrounds import below, noise, plain
from canvas import BLACK, SKIN, Colour, Point, Scene
from PIL import Image

WHITE, CREASE = (244, 244, 242), (206, 206, 210)


def karate(rng: np.random.Generator) -> Image.Image:
    """A class that punches as one."""
    wall = plain((186, 180, 168), 0.75, 1.0) + 4 * noise(rng, 60, 60)
    mats = below(400, plain((52, 92, 168), 0.9, 1.05), plain((178, 44, 50), 0.95, 1.05))
    scene = Scene(rng, below(230, wall, mats + 3 * noise(rng, 4, 4)))
    x = rng.uniform(115, 135)
    for number in range(3):
        karateka(scene, x + 155 * number, 200)
    return scene.finish()


def karateka(scene: Scene, x: float, y: float) -> None:
    suit = dict.fromkeys(("torso", "upper_arms", "forearms", "thighs", "shins"), WHITE)
    suit["feet"] = SKIN

    def at(dx: float, dy: float) -> Point:
        return x + dx, y + dy

    joints = {
        "head": at(6, -46), "left_shoulder": at(-22, 2), "right_shoulder": at(28, 0),
        "left_elbow": at(-44, 46), "right_elbow": at(72, 2),
        "left_hand": at(-14, 66), "right_hand": at(122, 2),
        "left_hip": at(-20, 92), "right_hip": at(20, 92),
        "left_knee": at(-58, 152), "right_knee": at(70, 140),
        "left_foot": at(-110, 214), "right_foot": at(72, 218),
    }  # fmt: skip
    scene.shadow(x, y + 236, 90, 14)
    scene.figure(joints, suit, 25)
    scene.polygon([at(-12, -8), at(18, -8), at(3, 40)], SKIN)
    for side in (-1, 1):  # the edges of the jacket
        edge = [at(3 + side * 15, -10), at(3 - side * 8, 50), at(-side * 16, 92)]
        scene.line(edge, CREASE, 3)
    scene.line([joints["left_hip"], joints["right_hip"]], BLACK, 11)
    scene.line([at(0, 92), at(-9, 130)], BLACK, 7)
    scene.line([at(0, 92), at(11, 128)], BLACK, 7)


def wrestling(rng: np.random.Generator) -> Image.Image:
    """One on hands and knees; the other behind, with his arms around him."""
    floor = plain((34, 60, 120), 0.9, 1.1)
    scene = Scene(rng, below(90, plain((40, 40, 46), 0.7, 1.0), floor) + 3 * noise(rng, 4, 4))
    scene.ellipse(320, 400, 330, 190, fill=(220, 220, 220))
    scene.ellipse(320, 400, 290, 158, fill=(34, 60, 120))
    x, y = 330 + rng.uniform(-20, 20), 260
    scene.shadow(x, y + 145, 290, 42)
    below_him: dict[str, Point] = {
        "head": (150, -52), "left_shoulder": (104, -40), "right_shoulder": (100, -14),
        "left_elbow": (108, 20), "right_elbow": (118, 26),
        "left_hand": (118, 78), "right_hand": (136, 78),
        "left_hip": (-30, -44), "right_hip": (-28, -10),
        "left_knee": (-34, 66), "right_knee": (-10, 70),
        "left_foot": (-110, 74), "right_foot": (-90, 80),
    }  # fmt: skip
    behind: dict[str, Point] = {
        "head": (46, -112), "left_shoulder": (6, -84), "right_shoulder": (24, -56),
        "left_elbow": (60, -40), "right_elbow": (54, -6),
        "left_hand": (84, -6), "right_hand": (74, 22),
        "left_hip": (-104, -50), "right_hip": (-96, -20),
        "left_knee": (-80, 60), "right_knee": (-40, 62),
        "left_foot": (-160, 76), "right_foot": (-130, 84),
    }  # fmt: skip
    wrestler(scene, x, y, below_him, (200, 32, 42))
    wrestler(scene, x, y, behind, (32, 62, 175))
    return scene.finish()


def wrestler(scene: Scene, x: float, y: float, joints: dict[str, Point], singlet: Colour) -> None:
    suit = {"torso": singlet, "thighs": singlet, "shins": SKIN, "feet": BLACK}
    suit |= {"upper_arms": SKIN, "forearms": SKIN}
    placed = {name: (x + 1.6 * dx, y + 1.6 * dy) for name, (dx, dy) in joints.items()}
    scene.figure(placed, suit, 54)
