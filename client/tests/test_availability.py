"""The command when the service is busy, unreachable or answers nonsense, and wrong use of it."""

import socket
import time
from pathlib import Path

import pytest
from sports.__main__ import ALL_CLASSIFIED, SOME_FAILED, UNAVAILABLE, WRONG_USE
from stub_service import StubService, run

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which are recorded instead of waited for."""
    recorded: list[float] = []
    monkeypatch.setattr(time, "sleep", recorded.append)
    return recorded


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "7"}, [7, 7, 7]),
        ({"Retry-After": "99"}, [30, 30, 30]),
        ({"Retry-After": "Tue, 24 Nov 2026 12:00:00 GMT"}, [2, 4]),
        ({}, [2, 4]),
    ],
)
def test_a_busy_service_is_asked_again_after_the_pause_it_names(
    stub: StubService,
    image: Path,
    pauses: list[float],
    capsys: Capture,
    headers: dict[str, str],
    expected: list[float],
) -> None:
    stub.refusals = [(429, headers), (503, headers), (429, headers)]
    assert run(image, "--host", stub.host) == ALL_CLASSIFIED
    assert "tennis" in capsys.readouterr().out
    assert pauses == expected


def test_a_service_that_stays_busy_is_unavailable(
    stub: StubService, image: Path, pauses: list[float], capsys: Capture
) -> None:
    stub.refusals = [(429, {"Retry-After": "0"})] * 99
    assert run(image, "--host", stub.host) == UNAVAILABLE
    assert stub.requests == 5
    assert "Busy" in capsys.readouterr().err


def test_an_unreachable_service(image: Path, capsys: Capture) -> None:
    with socket.socket() as unused:  # bound and not listening, so that nothing else gets the port
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert run(image, "--host", f"127.0.0.1:{port}") == UNAVAILABLE
    expected = f"sports: http://127.0.0.1:{port}/v1/predictions does not answer: [Errno "
    assert capsys.readouterr().err.startswith(expected)


def test_an_error_without_a_problem_object(stub: StubService, image: Path, capsys: Capture) -> None:
    stub.refusals, stub.body = [(502, {})], b"<h1>Bad gateway</h1>"
    assert run(image, "--host", stub.host) == SOME_FAILED
    assert "The service answered 502." in capsys.readouterr().err


def test_an_image_that_shows_none_of_the_labels(
    stub: StubService, image: Path, capsys: Capture
) -> None:
    stub.prediction["known"] = False
    assert run(image, "--host", stub.host) == ALL_CLASSIFIED
    assert "tennis (100.0 %), but probably none of the labels" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a.jpg", "--json", "--csv"],
        ["a.jpg", "b.jpg", "--explain", "o.png"],
        ["a.jpg", "--jobs", "0"],
        ["a.jpg", "--key-file", "missing"],
        ["--list", "missing"],
    ],
)
def test_a_wrong_command_line(arguments: list[str]) -> None:
    assert run(*arguments) == WRONG_USE


def test_a_service_that_is_another(stub: StubService, image: Path, capsys: Capture) -> None:
    stub.body = b"<h1>It works!</h1>"
    assert run(image, "--host", stub.host) == UNAVAILABLE
    assert "is not this service" in capsys.readouterr().err
