"""The command in a real terminal."""

import importlib.metadata
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pexpect
import pytest
from sports.__main__ import ALL_CLASSIFIED, INTERRUPTED, SOME_FAILED, UNAVAILABLE, WRONG_USE, main
from stub_service import StubService

from gateway.version import VERSION

SECONDS = 120  # to wait for a process at most


@pytest.fixture
def folder(tmp_path: Path, jpeg: bytes) -> Path:
    for number in range(12):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg)
    return tmp_path


@contextmanager
def terminal(*arguments: object, **environ: str) -> Iterator["pexpect.spawn[str]"]:
    with program(sys.executable, "-m", "sports", *arguments, **environ) as child:
        yield child


@contextmanager
def program(*command: object, **environ: str) -> Iterator["pexpect.spawn[str]"]:
    name, *arguments = map(str, command)
    child = pexpect.spawn(
        name,
        arguments,
        env={**os.environ, "TERM": "xterm", **environ},
        encoding="utf-8",
        timeout=SECONDS,
        dimensions=(24, 200),
    )
    try:
        yield child
    finally:
        child.close(force=True)


def ended(child: "pexpect.spawn[str]") -> tuple[str, int | None]:
    """The rest of what it writes, and its exit code."""
    output = child.read()
    child.wait()
    return output, child.exitstatus


def test_results_and_bar_stay_apart(folder: Path, stub: StubService) -> None:
    stub.refusals = [(415, {})]
    with terminal("predict", folder, "-j", 1, "--host", stub.host, NO_COLOR="1") as child:
        output = child.read()
    assert "12/12" in output
    lines = re.split(r"[\r\n]+", output)
    files = sorted(folder.iterdir())
    for path in files[1:]:
        assert f"{path}: tennis (100.0 %)" in lines
    assert f"sports: {files[0]}: Busy." in lines


def test_colours(folder: Path, stub: StubService) -> None:
    with terminal("predict", folder / "1.jpg", "--host", stub.host) as child:
        assert "\x1b[32mtennis\x1b[0m" in child.read()


def test_ctrl_c(folder: Path, stub: StubService) -> None:
    stub.hold_after = 2
    with terminal("predict", folder, "--host", stub.host) as child:
        assert stub.held.acquire(timeout=SECONDS)
        child.sendintr()
        child.expect("interrupted")
        child.expect(pexpect.EOF)
        child.wait()
        assert child.exitstatus == INTERRUPTED


def test_a_folder_is_watched(folder: Path, stub: StubService) -> None:
    with terminal("watch", folder, "--host", stub.host, NO_COLOR="1") as child:
        child.expect_exact("/9.jpg: tennis")
        (folder / "1.jpg").rename(folder / "later.jpg")
        child.expect_exact("/later.jpg: tennis")
        child.sendintr()
        child.expect(pexpect.EOF)


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["--version"], f"sports {VERSION}", ALL_CLASSIFIED),
        (["predict", "--help"], "cat urls.txt | sports predict -", ALL_CLASSIFIED),
        (["watch", "--help"], "sports watch FOLDER -o results.jsonl", ALL_CLASSIFIED),
        (["--help"], "SPORTS_API_KEY", ALL_CLASSIFIED),
        (["predict", "EMPTY"], "has no images in it", WRONG_USE),
        (["predict", "FOLDER", "-o", "NOTES"], "something else than results", WRONG_USE),
        (["predict", "FOLDER", "--key-file", "missing"], "No such file", WRONG_USE),
        (["predict", "FOLDER", "--host", "127.0.0.1:1"], "does not answer", UNAVAILABLE),
    ],
)
def test_what_it_says(folder: Path, arguments: list[str], said: str, code: int) -> None:
    (folder / "empty").mkdir()
    (folder / "notes").write_text("not results\n")
    places = {"FOLDER": folder, "EMPTY": folder / "empty", "NOTES": folder / "notes"}
    with terminal(*(places.get(part, part) for part in arguments), NO_COLOR="1") as child:
        output, exit_code = ended(child)
    assert said in output
    assert "Traceback" not in output
    assert exit_code == code


def test_a_list_is_typed(folder: Path, stub: StubService) -> None:
    with terminal("predict", "-", "--host", stub.host, NO_COLOR="1") as child:
        child.sendline("https://example.com/1.jpg")
        child.sendeof()
        output, code = ended(child)
    assert "https://example.com/1.jpg: tennis (100.0 %)" in output
    assert code == ALL_CLASSIFIED


def test_a_repeated_command_tries_failures_again(folder: Path, stub: StubService) -> None:
    stub.refusals = [(415, {})]
    arguments = ["predict", folder, "-o", folder / "results.csv", "--host", stub.host]
    for said, code in (
        ("Busy.", SOME_FAILED),
        ("", ALL_CLASSIFIED),
        ("already has all 12 images", ALL_CLASSIFIED),
    ):
        with terminal(*arguments) as child:
            output, exit_code = ended(child)
        assert said in output
        assert "tennis" not in output
        assert exit_code == code
    assert stub.requests == 13


def test_quiet(folder: Path, stub: StubService) -> None:
    stub.refusals = [(415, {})]
    with terminal("predict", folder, "-q", "--host", stub.host, NO_COLOR="1") as child:
        output, code = ended(child)
    assert len(output.splitlines()) == output.count("tennis") == 11
    assert code == SOME_FAILED


@pytest.mark.parametrize(("hidden", "results", "errors"), [("1", 0, 1), ("2", 11, 0)])
def test_results_and_errors_go_different_ways(
    folder: Path, stub: StubService, hidden: str, results: int, errors: int
) -> None:
    stub.refusals = [(415, {})]
    command = f'"$0" -m sports predict "$1" --host {stub.host} {hidden}>/dev/null'
    with program("sh", "-c", command, sys.executable, folder) as child:
        output, _ = ended(child)
    assert output.count("tennis") == results
    assert output.count("Busy.") == errors


def test_the_tab_key_completes(tmp_path: Path) -> None:
    with terminal("--print-completion", "bash") as child:
        (tmp_path / "completion").write_text(ended(child)[0].replace("\r", ""))
    with program("bash", "--norc", "--noprofile", PS1="$ ") as shell:
        shell.expect_exact("$ ")
        shell.sendline(f"source {tmp_path}/completion")
        shell.expect_exact("$ ")
        shell.send("sports wa\t")
        shell.expect_exact("sports watch ")
        shell.send("--key\t")
        shell.expect_exact("--key-file ")


def test_the_version_where_the_command_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in `make run`."""
    not_found = importlib.metadata.PackageNotFoundError()
    monkeypatch.setattr(importlib.metadata, "version", Mock(side_effect=not_found))
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"sports {VERSION}\n"
