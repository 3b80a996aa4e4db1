"""Animations of very many frames: Pillow writes two of them, the rest are copies."""

import struct
import zlib
from collections.abc import Callable

from gateway_testing.drawings import encode
from PIL import Image

COLOURS = (10, 200)


def _animation(file_format: str, frames: int) -> bytes:
    images = [Image.new("L", (8, 8), COLOURS[number % 2]) for number in range(frames)]
    return encode(images[0], file_format, save_all=True, append_images=images[1:])


def gif(frames: int) -> bytes:
    two, three, four = (_animation("GIF", count)[:-1] for count in (2, 3, 4))
    pair = three[len(two) :] + four[len(three) :]
    return two + pair * (frames // 2 - 1) + b";"


def webp(frames: int) -> bytes:
    two = _animation("WEBP", 2)
    start = two.rindex(b"ANMF")
    first = two.index(b"ANMF")
    body = two[8:start] + two[start:] + two[first:] * (frames // 2 - 1)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def png(frames: int) -> bytes:
    data = encode(Image.new("L", (8, 8), COLOURS[0]), "PNG")
    head, pixels = data[:33], zlib.compress(bytes([0, *[COLOURS[1]] * 8]) * 8)
    control = struct.pack(">IIIIHHBB", 8, 8, 0, 0, 1, 10, 0, 0)
    copies = b"".join(
        _png_chunk(b"fcTL", struct.pack(">I", number) + control)
        + _png_chunk(b"fdAT", struct.pack(">I", number + 1) + pixels)
        for number in range(1, 2 * frames - 1, 2)
    )
    animation = _png_chunk(b"acTL", struct.pack(">II", frames, 0))
    first = _png_chunk(b"fcTL", struct.pack(">I", 0) + control)
    return head + animation + first + data[33:-12] + copies + data[-12:]


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


FILMS: dict[str, Callable[[int], bytes]] = {"GIF": gif, "PNG": png, "WEBP": webp}
