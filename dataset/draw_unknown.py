"""Draw a hundred things that are none of the sports, to test what a model takes for known.

python dataset/draw_unknown.py FOLDER
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import patterns
import things
from PIL import Image

KINDS: tuple[Callable[[np.random.Generator], Image.Image], ...] = (
    patterns.black,
    patterns.one_colour,
    patterns.gradient,
    patterns.white_noise,
    patterns.clouds,
    patterns.checkerboard,
    patterns.stripes,
    patterns.rings,
    patterns.fractal,
    patterns.squares,
    patterns.text,
    patterns.table,
    patterns.line_chart,
    patterns.pie_chart,
    things.apple,
    things.bottle,
    things.car,
    things.clock,
    things.cup,
    things.flower,
    things.house,
    things.mountains,
    things.night_sky,
    things.skyline,
    things.smiley,
)
VARIATIONS = 4  # of each kind


def draw_unknown(variations: int = VARIATIONS) -> dict[str, Image.Image]:
    """The images by name, several of each kind; always the same ones."""
    return {
        f"{kind.__name__}{number}": kind(np.random.default_rng([number, index]))
        for index, kind in enumerate(KINDS)
        for number in range(variations)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to write the PNG files")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in draw_unknown().items():
        image.save(folder / f"{name}.png")


if __name__ == "__main__":
    main()
