"""Feed `preprocess` with broken images for as long as wanted; libFuzzer's options apply.

    pip install atheris
    python gateway/tests/fuzz_images.py -max_total_time=1800 CORPUS_FOLDER

Add what it finds to test_hostile_images.py.
"""

import io
import itertools
import sys
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["PIL", "gateway"]):
    import numpy as np
    from PIL import Image

    from gateway.errors import ImageTooLarge, UnsupportedImage
    from gateway.images import FORMATS, preprocess

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16", "I", "YCbCr")
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"progressive": True, "quality": 30},
    {"lossless": True},
    {"interlace": True, "transparency": 0},
    {"save_all": True, "append_images": [Image.new("RGB", (9, 5), "red")] * 2},
    {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"},
    {"icc_profile": bytes(300)},
)


def check(data: bytes) -> None:
    try:
        image = preprocess(data, (40, 60), max_pixels=2_000_000)
    except (ImageTooLarge, UnsupportedImage):
        return
    assert image.shape == (40, 60, 3), image.shape
    assert image.dtype == np.uint8, image.dtype


def write_seeds(folder: Path) -> None:
    """One small file for each format, mode and option that Pillow can write."""
    folder.mkdir(parents=True, exist_ok=True)
    gradient = Image.linear_gradient("L").resize((23, 17))
    for name, mode, (number, options) in itertools.product(FORMATS, MODES, enumerate(OPTIONS)):
        file = io.BytesIO()
        try:
            image = Image.new("I;16", (23, 17), 700) if mode == "I;16" else gradient.convert(mode)
            image.save(file, name, **options)
        except Exception:  # not every format has every mode and option
            continue
        (folder / f"{name}-{mode.replace(';', '-')}-{number}").write_bytes(file.getvalue())


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        if not argument.startswith("-"):
            write_seeds(Path(argument))
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
