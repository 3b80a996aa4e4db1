"""The processes that decode strangers' images; decoders.py starts them and talks to them.

The first is only a template: it has imported everything, and forks the decoders when it is told
to, within milliseconds. A decoder reads jobs from a socket and can do little else.
"""

import gc
import io
import mmap
import os
import signal
import socket
import struct
import traceback
import warnings
from contextlib import suppress

from PIL import Image

from gateway.errors import GatewayError, ImageTooExpensive, ImageTooLarge, UnsupportedImage
from gateway.images import FORMATS, preprocess
from gateway.sandbox import confine

COMMAND = struct.Struct("!ii")  # fork, with socket and memory: 0, niceness; end one: its id, 0
REPLY = struct.Struct("!i")  # the id of the new process, or the signal that ended it
JOB = struct.Struct("!IIIdI")  # height, width, pixels at most, processor seconds; bytes to follow
ANSWER = struct.Struct("!BI")  # what it is; bytes in the shared memory
PIXELS = 0  # and from 1 on the errors, with their detail and cause
ERRORS: tuple[type[GatewayError], ...] = (ImageTooExpensive, ImageTooLarge, UnsupportedImage)
MAX_BYTES = 450_000_000  # allocated by a decoder
SHARED_BYTES = 100_000_000  # at most the pixels of any model; what is never written takes none
LISTENING = 0  # the descriptor of the socket, in both kinds of process


def main() -> None:
    """Fork and end decoders until the other side of the socket is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):  # of a terminal, for instance: the end is EOF
        signal.signal(number, signal.SIG_IGN)
    # Pillow warns of strangers' broken metadata and of large images; the limits are ours.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    _warm_up()
    gc.freeze()  # so that collections in the decoders copy no pages
    control = socket.socket(fileno=LISTENING)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, COMMAND.size, 2)
        if not message:
            return
        pid, niceness = COMMAND.unpack(message)
        reply = _fork(descriptors, niceness) if descriptors else _end(pid)
        control.sendall(REPLY.pack(reply))


def _warm_up() -> None:
    """Import what Pillow imports when it first needs it: a decoder cannot open files."""
    Image.init()
    for name in (*FORMATS, "MPO"):
        file = io.BytesIO()
        image = Image.new("P" if name == "GIF" else "RGB", (8, 8))
        exif = Image.Exif()
        exif[0x0112] = 6
        with suppress(Exception):
            image.save(file, name, exif=exif, save_all=name == "MPO", append_images=[image])
        for data in (file.getvalue(), file.getvalue()[:-20], b""):
            with suppress(GatewayError):
                preprocess(data)


def _fork(descriptors: list[int], niceness: int) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(descriptors[0], LISTENING)
            connection = socket.socket(fileno=LISTENING)
            memory = mmap.mmap(descriptors[1], SHARED_BYTES)
            os.closerange(3, max(descriptors) + 2)  # with the copy that mmap has made
            os.nice(niceness)
            confine(open_files=3, max_bytes=MAX_BYTES)
            _serve(connection, memory)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    for descriptor in descriptors:
        os.close(descriptor)
    return pid


def _end(pid: int) -> int:
    """Kill a process, unless it is dead already, and say which signal ended it."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    if not ended:
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    return os.WTERMSIG(status)


def _serve(connection: socket.socket, memory: mmap.mmap) -> None:
    stream = connection.makefile("rb")
    while job := stream.read(JOB.size):
        height, width, max_pixels, seconds, length = JOB.unpack(job)
        data = stream.read(length)
        signal.setitimer(signal.ITIMER_PROF, seconds)  # SIGPROF ends the process
        kind, body = _decode(data, (height, width), max_pixels)
        signal.setitimer(signal.ITIMER_PROF, 0)
        memory[: len(body)] = body
        connection.sendall(ANSWER.pack(kind, len(body)))


def _decode(data: bytes, size: tuple[int, int], max_pixels: int) -> tuple[int, memoryview | bytes]:
    try:
        return PIXELS, preprocess(data, size, max_pixels).data.cast("B")
    except ERRORS as error:
        text = f"{error}\n{error.__cause__ or ''}"
        return 1 + ERRORS.index(type(error)), text.encode(errors="replace")[:1000]


if __name__ == "__main__":
    main()
