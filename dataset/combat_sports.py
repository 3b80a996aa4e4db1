"""Drawn scenes of karate and wrestling."""

import numpy as np
from backgrounds import below, crowd, mats, plain
from canvas import BLACK, SKIN, Colour, Point, Scene
from PIL import Image


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
    """A wrestler bent forward, with arms locked with the opponent."""
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
