"""Where the command takes images from, and how many it sends at once."""

import io
import itertools
import sys
import threading
import time
from pathlib import Path

import pytest
from sports.__main__ import ALL_CLASSIFIED, WRONG_USE
from sports.sources import watch_folder
from stub_service import StubService, run

Capture = pytest.CaptureFixture[str]
URLS = ["https://example.com/1.jpg", "https://example.com/2.jpg"]


def test_a_list_from_standard_input_and_from_a_file(
    stub: StubService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{URLS[0]}\n\n"))
    file = tmp_path / "urls.txt"
    file.write_text("\n".join([*URLS, ""]))
    assert run("-", "--list", file, "--host", stub.host) == ALL_CLASSIFIED
    assert capsys.readouterr().out == "".join(f"{url}: tennis (100.0 %)\n" for url in URLS)


def test_a_folder_without_images(stub: StubService, tmp_path: Path, capsys: Capture) -> None:
    assert run(tmp_path, "--host", stub.host) == WRONG_USE
    assert f"{tmp_path} has no images in it" in capsys.readouterr().err


def test_several_images_are_sent_at_once(stub: StubService, tmp_path: Path, jpeg: bytes) -> None:
    for number in range(8):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg)
    stub.hold_after = 0
    held: list[bool] = []

    def release() -> None:
        held.extend(stub.held.acquire(timeout=30) for _ in range(8))
        stub.release.set()

    thread = threading.Thread(target=release)
    thread.start()
    assert run(tmp_path, "--jobs", 8, "--host", stub.host) == ALL_CLASSIFIED
    thread.join()
    assert all(held)


def test_quiet_says_nothing_of_failures(stub: StubService, image: Path, capsys: Capture) -> None:
    stub.refusals = [(415, {})]
    run(image, "-q", "--host", stub.host)
    assert not capsys.readouterr().err


def test_a_watched_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["done.jpg", "old.jpg", "new.jpg", "growing.jpg", "notes.txt"]
    done, old, new, growing, notes = (tmp_path / name for name in names)
    for path in (done, old):
        path.write_bytes(b"1")

    def look(number: int) -> None:
        """What happens between one look and the next."""
        if number == 1:
            new.write_bytes(b"1")
            notes.write_bytes(b"1")
        if number < 4:
            growing.write_bytes(b"1" * number)
        if number == 7:
            old.write_bytes(b"changed")
            new.unlink()

    looks = itertools.count()
    monkeypatch.setattr(time, "sleep", lambda seconds: look(next(looks)))
    found = watch_folder(tmp_path, {str(done)})
    expected = [[old], [new], [growing], [old]]
    assert [next(found) for _ in expected] == [[str(p) for p in paths] for paths in expected]
