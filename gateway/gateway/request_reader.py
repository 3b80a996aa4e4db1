"""Collects requests from the bytes of a connection, without touching a socket.

gunicorn's parser judges each head. A request is complete when its whole body has come; the
application never waits for a client.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass

from gunicorn.config import Config
from gunicorn.http import errors
from gunicorn.http.body import CHUNK_EXT_RE
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader

MAX_HEAD = 32_768
MAX_CHUNK_LINE = 256
MAX_TRAILERS = 8_192
# A chunk costs time, however short: if there are more, they must not be short on average.
MANY_CHUNKS = 100
SHORT_CHUNK = 512
HEAD_END = re.compile(rb"\r\n\r\n|(?<!\r)\n")  # a line that ends with LF alone is refused at once
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})" + CHUNK_EXT_RE.pattern)
HOST = re.compile(r"([\w.~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?", re.ASCII)


@dataclass(frozen=True)
class IncomingRequest:
    """A complete request.

    Attributes:
        head: the request line and the headers, as gunicorn parsed them.
        body: empty if it is longer than the reader's limit.
        length: of the body; of one that is too long, what is known of it.
    """

    head: Request
    body: io.BytesIO
    length: int


class Body:
    """A body of a known length."""

    def __init__(self, length: int, limit: int) -> None:
        self.content = io.BytesIO()
        self.length = length
        self._limit = limit

    @property
    def is_too_long(self) -> bool:
        return self.length > self._limit

    def receive(self, buffer: bytearray) -> bool:
        """Take what belongs to the body from the buffer's front; whether nothing is missing."""
        if not self.is_too_long:
            self._take(buffer, self.length - self.content.tell())
        return self.is_too_long or self.content.tell() == self.length

    def _take(self, buffer: bytearray, size: int) -> int:
        taken = self.content.write(buffer[:size])
        del buffer[:taken]
        return taken


class ChunkedBody(Body):
    """A body in chunks. Refuses what gunicorn's own reader refuses, and more."""

    def __init__(self, head: Request, limit: int) -> None:
        super().__init__(0, limit)
        self._head = head
        self._chunks = 0
        self._missing = 0  # of the current chunk
        self._is_complete = False
        self._read: Callable[[bytearray], bool] = self._read_line

    def receive(self, buffer: bytearray) -> bool:
        while not self._is_complete and not self.is_too_long and self._read(buffer):
            pass
        return self._is_complete or self.is_too_long

    # Each of these returns whether it found what it reads.

    def _read_line(self, buffer: bytearray) -> bool:
        end = buffer.find(b"\r\n", 0, MAX_CHUNK_LINE)
        if end < 0:
            if len(buffer) >= MAX_CHUNK_LINE or b"\n" in buffer:
                raise errors.InvalidChunkSize(bytes(buffer[:MAX_CHUNK_LINE]))
            return False
        line = CHUNK_LINE.fullmatch(buffer, 0, end)
        if line is None:
            raise errors.InvalidChunkSize(bytes(buffer[:end]))
        self._missing = int(line[1], 16)
        self._chunks += 1
        self.length += self._missing
        if self._chunks > MANY_CHUNKS + self.length // SHORT_CHUNK:
            raise errors.InvalidChunkSize(b"too many short chunks")
        del buffer[: end + 2]
        self._read = self._read_chunk if self._missing else self._read_trailers
        return True

    def _read_chunk(self, buffer: bytearray) -> bool:
        self._missing -= self._take(buffer, self._missing)
        if self._missing or len(buffer) < 2:
            return False
        if buffer[:2] != b"\r\n":
            raise errors.ChunkMissingTerminator(bytes(buffer[:2]))
        del buffer[:2]
        self._read = self._read_line
        return True

    def _read_trailers(self, buffer: bytearray) -> bool:
        if buffer[:2] == b"\r\n":
            del buffer[:2]
            self._is_complete = True
            return True
        end = buffer.find(b"\r\n\r\n", 0, MAX_TRAILERS)
        if end < 0:
            if len(buffer) >= MAX_TRAILERS:
                raise errors.LimitRequestHeaders("the trailers are too long")
            if buffer.count(b"\n") != buffer.count(b"\r\n"):
                raise errors.InvalidHeader("bare LF")
            return False
        self._head.parse_headers(bytes(buffer[:end]), from_trailer=True)  # raises if it is invalid
        del buffer[: end + 4]
        self._is_complete = True
        return True


class RequestReader:
    """Finds one request after the other in what a client sends.

    Args:
        config: gunicorn's, for its parser.
        client: the client's address.
        max_body_bytes: of a longer body nothing is kept, and the connection cannot be used again.
    """

    def __init__(self, config: Config, client: object, max_body_bytes: int) -> None:
        self._config = config
        self._client = client
        self._limit = max_body_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._head: Request = None
        self._body: Body | None = None
        self._expects_continue = False

    @property
    def size(self) -> int:
        """Bytes held of a request that is not complete."""
        return len(self._buffer) + (self._body.content.tell() if self._body else 0)

    @property
    def has_head(self) -> bool:
        return self._body is not None

    def receive(self, data: bytes) -> IncomingRequest | None:
        """Take what has come, and return the request that is complete with it.

        Further requests are kept for the next calls.

        Raises:
            ParseException: it is not a valid request; the connection cannot be used again.
        """
        self._buffer += data
        if self._body is None:
            self._read_head()
        head, body = self._head, self._body
        if body is None or not body.receive(self._buffer):
            return None
        self._head = self._body = None
        if body.is_too_long:
            self.clear()
            head.force_close()
            return IncomingRequest(head, io.BytesIO(), body.length)
        body.content.seek(0)
        return IncomingRequest(head, body.content, body.length)

    def must_continue(self) -> bool:
        """Whether the client waits for a "100 Continue"; true once for a request."""
        expects, self._expects_continue = self._expects_continue, False
        return expects and self._body is not None

    def clear(self) -> None:
        """Forget what has come."""
        self._buffer.clear()
        self._head = self._body = None

    def _read_head(self) -> None:
        end = HEAD_END.search(self._buffer, max(0, self._searched - 3))
        if (end.end() if end else len(self._buffer)) > MAX_HEAD:
            raise errors.LimitRequestHeaders("the head is too long")
        if end is None:
            self._searched = len(self._buffer)
            return
        head = self._parse(bytes(self._buffer[: end.end()]))
        del self._buffer[: end.end()]
        self._searched = 0
        # It is the loop that answers this, not gunicorn when a thread takes the request.
        self._expects_continue, head._expected_100_continue = head._expected_100_continue, False
        self._head, self._body = head, _body(head, self._limit)

    def _parse(self, data: bytes) -> Request:
        try:
            head = Request(self._config, IterUnreader([data]), self._client)
        except (errors.NoMoreData, StopIteration) as error:
            raise errors.InvalidRequestLine(data) from error
        hosts = [value for name, value in head.headers if name == "HOST"]
        if len(hosts) != 1 and head.version >= (1, 1):
            raise errors.InvalidHeader("HOST")
        if not all(HOST.fullmatch(host) for host in hosts):
            raise errors.InvalidHeader("HOST")
        return head


def _body(head: Request, limit: int) -> Body:
    """gunicorn has refused a head with several lengths, or with a length and a coding."""
    codings = [value.lower() for name, value in head.headers if name == "TRANSFER-ENCODING"]
    if not codings:
        lengths = [int(value) for name, value in head.headers if name == "CONTENT-LENGTH"]
        return Body(sum(lengths), limit)
    if codings != ["chunked"]:
        raise errors.UnsupportedTransferCoding(", ".join(codings))
    return ChunkedBody(head, limit)
