"""The command line of `sports`."""

import argparse
import importlib
import importlib.metadata
import os
from pathlib import Path

import shtab

from sports.client import MAX_CONNECTIONS
from sports.results import STYLES

EPILOG = """\
exit code:
  0  every image was classified
  1  at least one was not
  2  wrong command line
  3  the service is unreachable, stays busy or does not accept the API key

environment:
  SPORTS_HOST     the service, instead of --host
  SPORTS_API_KEY  an API key, instead of --key-file
  NO_COLOR        no colours
"""
PREDICT = """\
examples:
  sports predict image.jpg https://example.com/image.jpg
  sports predict FOLDER -o results.csv      repeat it to try again what failed
  sports predict image.jpg --explain heat.png
  sports predict --list urls.txt --json > results.jsonl
  cat urls.txt | sports predict -
"""
WATCH = """\
Classifies the images in FOLDER and below it, then each one that is added or changed, until Ctrl-C.

examples:
  sports watch FOLDER
  sports watch FOLDER -o results.jsonl      repeat it to go on where it stopped
"""


class Options(argparse.Namespace):
    """What the command line says."""

    command: str
    sources: list[str]
    list: Path | None
    folder: Path
    style: str  # text, json or csv
    output: Path | None
    explain: Path | None = None
    host: str
    key: str
    jobs: int
    quiet: bool


def parse_arguments(arguments: list[str] | None = None) -> Options:
    """Read the command line; a wrong one ends the process with code 2."""
    parser = _described(argparse.ArgumentParser("sports"), "Say which sport images show.")
    parser.epilog = EPILOG
    parser.add_argument("--version", action="version", version=f"sports {_version()}")
    shtab.add_argument_to(parser, help="print a script for this shell, which completes commands")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    predict = commands.add_parser("predict", help="classify files, URLs and folders")
    _add_sources(_described(predict, PREDICT))
    _add_common(predict)
    watch = commands.add_parser("watch", help="classify the images that a folder gets")
    watch.add_argument("folder", type=_folder, metavar="FOLDER")
    _add_common(_described(watch, WATCH))
    options = parser.parse_args(arguments, Options())
    options.style = options.style or _style(options.output)
    options.key = options.key or os.environ.get("SPORTS_API_KEY", "")
    return options


def _version() -> str:
    try:
        return importlib.metadata.version("sports")
    except importlib.metadata.PackageNotFoundError:  # `make run` does not install the checkout
        return str(importlib.import_module("gateway.version").VERSION)


def _described(parser: argparse.ArgumentParser, description: str) -> argparse.ArgumentParser:
    parser.description = description
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    return parser


def _add_sources(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    help_ = "- is a list on standard input"
    sources = add("sources", nargs="*", metavar="FILE|URL|FOLDER|-", help=help_)
    sources.complete = shtab.FILE  # type: ignore[attr-defined]
    add("--list", type=Path, metavar="FILE", help="a list of sources, one a line")
    add("--explain", type=Path, metavar="OUT.png", help="draw where the model looked")


def _add_common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    output = "append to this file, as JSON lines or CSV, and skip the images that it has"
    add("-o", "--output", type=Path, metavar="FILE", help=output)
    style = parser.add_mutually_exclusive_group()
    style.add_argument(
        "--json", dest="style", action="store_const", const="json", help="JSON lines"
    )
    style.add_argument("--csv", dest="style", action="store_const", const="csv")
    add("-q", "--quiet", action="store_true", help="neither progress nor errors of images")
    add("-j", "--jobs", type=_jobs, default=4, metavar="N", help="images at once (default: 4)")
    host = os.environ.get("SPORTS_HOST", "localhost:9696")
    add("--host", default=host, help="HOST:PORT or URL of the service (default: %(default)s)")
    add("--key-file", dest="key", type=_key, metavar="FILE", help="a file with the API key")


def _folder(text: str) -> Path:
    if not (folder := Path(text)).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a folder")
    return folder


def _jobs(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_CONNECTIONS:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to {MAX_CONNECTIONS}")
    return int(text)


def _key(text: str) -> str:
    try:
        return Path(text).read_text().strip()
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _style(output: Path | None) -> str:
    return STYLES.get(output.suffix.lower(), "json") if output else "text"
