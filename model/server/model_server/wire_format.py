"""The wire format of protocol buffers: https://protobuf.dev/programming-guides/encoding"""

from collections.abc import Iterator
from mmap import mmap

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # how a field is encoded


def fields(data: mmap, position: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Each length-delimited field of a message: number, start, start of its value, end."""
    while position < end:
        start = position
        key, position = _read_varint(data, position)
        number, encoding = key >> 3, key & 7
        if encoding == VARINT:
            _, position = _read_varint(data, position)
        elif encoding == BYTES:
            size, position = _read_varint(data, position)
            if position + size > end:
                raise IndexError("a field is longer than its message")
            yield number, start, position, position + size
            position += size
        elif encoding in (FIXED64, FIXED32):
            position += 8 if encoding == FIXED64 else 4
        else:
            raise IndexError(f"unknown encoding {encoding}")


def find(data: mmap, message: range, *path: int) -> Iterator[range]:
    """The positions of each value at a path of field numbers."""
    if not path:
        yield message
        return
    for number, _, begin, end in fields(data, message.start, message.stop):
        if number == path[0]:
            yield from find(data, range(begin, end), *path[1:])


def _read_varint(data: mmap, position: int) -> tuple[int, int]:
    """A number of variable length, and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def header(number: int, size: int) -> bytes:
    """What precedes the value of a length-delimited field."""
    encoded = [number << 3 | BYTES]
    while size >= 0x80:
        encoded.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*encoded, size])
