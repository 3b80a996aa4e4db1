"""Draw the sample images: one scene for each of the seven sports, and an apple.

    python dataset/draw_samples.py    # overwrites dataset/samples/*.jpg and the page's examples

`write_dataset` draws many variations in the Kaggle layout, to test the trainer with.
"""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from backgrounds import below, noise, plain
from canvas import Scene
from combat_sports import karate, wrestling
from field_sports import cricket, soccer
from PIL import Image
from racket_sports import badminton, tennis
from water_sports import swimming

SEED = 20
EXAMPLES = Path(__file__).parents[1] / "gateway/gateway/page/examples"
EXAMPLE_SIZE = (320, 240)  # width, height


def apple(rng: np.random.Generator) -> Image.Image:
    """An image of none of the seven sports."""
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


def write_dataset(
    folder: Path, images_per_label: int, seed: int, labels: Iterable[str] = SPORTS
) -> None:
    """Draw variations of each sport in the Kaggle layout."""
    (folder / "train").mkdir(parents=True)
    with (folder / "train.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image_ID", "label"])
        for label in labels:
            for number in range(images_per_label):
                name = f"{label}{number}.jpg"
                image = SPORTS[label](np.random.default_rng([seed, number]))
                image.save(folder / "train" / name)
                rows.writerow([name, label.title()])


def main() -> None:
    folder = Path(__file__).parent / "samples"
    folder.mkdir(exist_ok=True)
    for name, scene in {**SPORTS, "apple": apple}.items():
        image = scene(np.random.default_rng(SEED))
        image.save(folder / f"{name}.jpg", quality=85)
        small = image.resize(EXAMPLE_SIZE, Image.Resampling.LANCZOS)
        small.save(EXAMPLES / f"{name}.jpg", quality=75, optimize=True)


if __name__ == "__main__":
    main()
