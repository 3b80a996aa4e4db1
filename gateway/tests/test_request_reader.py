"""Requests in pieces of any size; chunks as gunicorn's own reader takes them."""

import random

import pytest
from gunicorn.config import Config
from gunicorn.http import errors
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader

from gateway.request_reader import MAX_HEAD, RequestReader

CONFIG = Config()
CLIENT = ("192.0.2.1", 1)
LIMIT = 1000  # bytes of a body
HEAD = b"POST /a?b=c HTTP/1.1\r\nHost: a\r\n"
LENGTH = HEAD + b"Content-Length: 5\r\n\r\nhello"
CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
COMPLETE = {
    "no body": (HEAD + b"\r\n", b""),
    "a length": (LENGTH, b"hello"),
    "an empty line before": (b"\r\n" + LENGTH, b"hello"),
    "chunks": (CHUNKS + b"3\r\nhel\r\n2;a=b\r\nlo\r\n0\r\n\r\n", b"hello"),
    "trailers": (CHUNKS + b"5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n", b"hello"),
}


def reader() -> RequestReader:
    return RequestReader(CONFIG, CLIENT, LIMIT)


@pytest.mark.parametrize(("sent", "body"), COMPLETE.values(), ids=COMPLETE)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_request_is_complete_with_its_last_byte(sent: bytes, body: bytes, size: int) -> None:
    a_reader = reader()
    pieces = [sent[start : start + size] for start in range(0, len(sent), size)]
    assert [a_reader.receive(piece) for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    request = a_reader.receive(pieces[-1])
    assert request is not None
    assert (request.head.method, request.head.path, request.head.query) == ("POST", "/a", "b=c")
    assert (request.body.read(), request.length) == (body, len(body))
    assert a_reader.size == 0


def test_requests_come_one_at_a_time() -> None:
    sent = [text for text, _ in COMPLETE.values()]
    a_reader = reader()
    requests = [a_reader.receive(b"".join(sent)), *(a_reader.receive(b"") for _ in sent)]
    bodies = [request.body.read() for request in requests if request]
    assert bodies == [body for _, body in COMPLETE.values()]


@pytest.mark.parametrize("head", [HEAD + b"Content-Length: 1001\r\n\r\n", CHUNKS + b"3e9\r\n"])
def test_of_a_body_over_the_limit_nothing_is_kept(head: bytes) -> None:
    a_reader = reader()
    request = a_reader.receive(head + bytes(500))
    assert request is not None
    assert (request.body.read(), request.length) == (b"", 1001)
    assert request.head.should_close()
    assert a_reader.size == 0


def test_a_body_as_long_as_the_limit_is_kept() -> None:
    request = reader().receive(CHUNKS + b"3e8\r\n" + bytes(1000) + b"\r\n0\r\n\r\n")
    assert request is not None
    assert len(request.body.read()) == LIMIT


def test_a_client_is_told_once_to_continue() -> None:
    a_reader = reader()
    a_reader.receive(HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhe")
    assert [a_reader.must_continue(), a_reader.must_continue()] == [True, False]


def test_a_client_that_has_sent_its_body_is_not_told_to_continue() -> None:
    a_reader = reader()
    assert a_reader.receive(HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
    assert not a_reader.must_continue()


@pytest.mark.parametrize("size", [1, 1000, 100_000])
def test_a_head_without_an_end_is_refused(size: int) -> None:
    a_reader = reader()

    def send() -> None:
        for _ in range(0, MAX_HEAD + size, size):
            a_reader.receive(b"a" * size)

    with pytest.raises(errors.LimitRequestHeaders):
        send()


def test_a_head_that_ends_beyond_the_limit_is_refused() -> None:
    headers = b"A: " + b"a" * 8000 + b"\r\n"
    with pytest.raises(errors.LimitRequestHeaders):
        reader().receive(HEAD + headers * 5 + b"\r\n")


def by_gunicorn(sent: bytes) -> bytes | None:
    """The body as gunicorn's own reader takes it, None if it refuses it."""
    try:
        return bytes(Request(CONFIG, IterUnreader([sent]), CLIENT).body.read())
    except (errors.ParseException, errors.NoMoreData):
        return None


def by_us(sent: bytes) -> bytes | None:
    try:
        request = reader().receive(sent)
    except errors.ParseException:
        return None
    return request.body.read() if request and request.length <= LIMIT else None


@pytest.mark.parametrize("seed", range(20))
def test_chunks_that_gunicorn_refuses_are_refused(seed: int) -> None:
    rng = random.Random(seed)
    valid = b'5\r\nhello\r\n3;a="b;"\r\nabc\r\n00\r\nA: b\r\n\r\n'
    for _ in range(300):
        sent = bytearray(valid)
        for _ in range(rng.randint(0, 2)):
            at = rng.randrange(len(sent))
            sent[at : at + rng.randint(0, 2)] = rng.choice(
                [b"", b"\r", b"\n", b"\r\n", b"0", b"5", b"a", b";", b" ", b"\t", b"x", b"-", b"\0"]
            )
        assert by_us(CHUNKS + sent) in (by_gunicorn(CHUNKS + sent), None), bytes(sent)
