"""The heat map, laid over its picture."""

from pathlib import Path

from PIL import Image, ImageOps

COLOUR = (255, 90, 0)
STRENGTH = 0.75  # of the hottest spot


def lay_over(picture: Path, heatmap: list[list[float]], output: Path) -> None:
    """Write the picture with the heat map on it.

    Args:
        picture: the picture that was asked about.
        heatmap: rows of values from 0 to 1, as the service answers them.
        output: where to; its suffix names the format.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: the output's suffix names no format.
    """
    with Image.open(picture) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    values = bytes(round(255 * STRENGTH * value) for row in heatmap for value in row)
    small = Image.frombytes("L", (len(heatmap[0]), len(heatmap)), values)
    mask = small.resize(image.size, Image.Resampling.BICUBIC)
    image.paste(Image.new("RGB", image.size, COLOUR), mask=mask)
    image.save(output)
