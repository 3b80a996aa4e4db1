"""Small files that are expensive to decode."""

import io
import struct
import zlib

from gateway_testing.drawings import encode, gradient
from PIL import Image

# An Exif block whose directory is inside itself.
EXIF_LOOP = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x08\0\0\0\x08"


def bmp_of_one_line(bits: int = 8) -> bytes:
    """1,082 bytes, run-length encoded: Pillow takes seconds for 50 million pixels."""
    colours = bytes(value for i in range(1 << bits) for value in (i, i, i, 0))
    pixels = b"\x01\x01\0\0"
    start = 54 + len(colours)
    return (
        b"BM"
        + struct.pack("<IHHI", start + len(pixels), 0, 0, start)
        + struct.pack(
            "<IiiHHIIiiII", 40, 50_000_000, 1, 1, bits, 8 // bits, len(pixels), 0, 0, 1 << bits, 0
        )
        + colours
        + pixels
    )


def gif_of_comments(length: int) -> bytes:
    """So many bytes of comments that have a byte each."""
    image = encode(Image.new("L", (8, 8)), "GIF")
    colours = 3 << (image[10] % 8 + 1) if image[10] & 128 else 0
    head = 13 + colours
    return image[:head] + b"!\xfe\x01a\0" * (length // 5) + image[head:]


def jpeg_of_segments(marker: int, content: bytes, length: int) -> bytes:
    """So many bytes of equal segments."""
    image = encode(gradient())
    segment = struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
    return image[:2] + segment * (length // len(segment)) + image[2:]


def jpeg_of_scans(scans: int, side: int = 7000) -> bytes:
    """A large progressive image, whose last scan comes again and again."""
    file = io.BytesIO()
    Image.new("RGB", (side, side)).save(file, "JPEG", progressive=True, quality=10)
    image = file.getvalue().removesuffix(b"\xff\xd9")
    return image + image[image.rindex(b"\xff\xda") :] * scans + b"\xff\xd9"


def png_of_chunks(kind: bytes, content: bytes, length: int) -> bytes:
    """So many bytes of equal chunks after the header."""
    image = encode(gradient(), "PNG")
    checksum = zlib.crc32(kind + content)
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
    return image[:33] + chunk * (length // len(chunk)) + image[33:]
