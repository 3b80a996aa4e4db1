"""Small files that are expensive to decode."""

import struct

from gateway_testing.drawings import encode
from PIL import Image


def bmp_of_one_line() -> bytes:
    """1,082 bytes, run-length encoded: Pillow takes seconds for 50 million pixels."""
    colours = bytes(value for i in range(256) for value in (i, i, i, 0))
    pixels = b"\x01\x01\0\0"
    start = 54 + len(colours)
    return (
        b"BM"
        + struct.pack("<IHHI", start + len(pixels), 0, 0, start)
        + struct.pack("<IiiHHIIiiII", 40, 50_000_000, 1, 1, 8, 1, len(pixels), 0, 0, 256, 0)
        + colours
        + pixels
    )


def gif_of_comments(length: int) -> bytes:
    """So many bytes of comments that have a byte each."""
    image = encode(Image.new("L", (8, 8)), "GIF")
    colours = 3 << (image[10] % 8 + 1) if image[10] & 128 else 0
    head = 13 + colours
    return image[:head] + b"!\xfe\x01a\0" * (length // 5) + image[head:]
