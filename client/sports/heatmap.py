"""Draws a heat map over its image."""

from pathlib import Path

from PIL import Image, ImageOps

COLOUR = (255, 90, 0)
STRENGTH = 0.75  # opacity where the heat map is 1


def overlay_heatmap(path: Path, heatmap: list[list[float]], output: Path) -> None:
    """Write a copy of the image with the heat map drawn over it.

    Args:
        path: the image that was classified.
        heatmap: rows of values from 0 to 1, as the service returns them.
        output: the file to write; its suffix sets the format.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: the output's suffix is not a known format.
    """
    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file).convert("RGB")
    values = bytes(round(255 * STRENGTH * value) for row in heatmap for value in row)
    opacity = Image.frombytes("L", (len(heatmap[0]), len(heatmap)), values)
    mask = opacity.resize(image.size, Image.Resampling.BICUBIC)
    image.paste(Image.new("RGB", image.size, COLOUR), mask=mask)
    image.save(output)
