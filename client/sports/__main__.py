"""The command `sports`: say which sport images show.

    sports predict FILE|URL|FOLDER ... [--json | --csv] [--output FILE] [--explain OUT.png]
                                       [--host HOST:PORT]

Results go to standard output, or to --output; a command that is repeated with the same --output
goes on where it stopped. The exit code is 0 when every image was classified, 1 when at least one
was not, 2 for a wrong command line, 3 when the service is unreachable or stays busy.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from sports.client import Client, ServiceError, ServiceUnavailable, is_url
from sports.heatmap import overlay_heatmap
from sports.results import Result, ResultWriter, read_sources

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"}
ALL_CLASSIFIED, SOME_FAILED, WRONG_USE, UNAVAILABLE, INTERRUPTED = 0, 1, 2, 3, 130


def main(arguments: list[str] | None = None) -> None:
    options = _parse_arguments(arguments)
    try:
        sys.exit(predict(options))
    except ServiceUnavailable as error:
        print(f"sports: {error}", file=sys.stderr)
        sys.exit(UNAVAILABLE)
    except KeyboardInterrupt:
        print("sports: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def predict(options: argparse.Namespace) -> int:
    """Classify every image and return the exit code.

    Raises:
        ServiceUnavailable: the service is unreachable, or stays busy.
    """
    client = Client(options.host, options.key)
    sources = list(_expand_folders(options.sources))
    if options.explain and (len(sources) != 1 or is_url(sources[0])):
        options.parser.error("--explain takes one file")
    done = set(read_sources(options.output, options.style)) if options.output else set()
    remaining = [source for source in sources if source not in done]
    failures = 0
    with _open_output(options.output) as file:
        writer = ResultWriter(file, options.style, header=not done)
        no_bar = len(remaining) < 2 or not sys.stderr.isatty()
        for source in tqdm(remaining, disable=no_bar, unit="image"):
            result = _classify(client, source, options.explain)
            failures += "error" in result
            writer.write(result)
    return SOME_FAILED if failures else ALL_CLASSIFIED


def _classify(client: Client, source: str, explain: Path | None) -> Result:
    """The prediction for an image, or the error in its place."""
    try:
        result = client.predict(source, explain is not None)
        if explain is not None:
            overlay_heatmap(Path(source), result.pop("heatmap"), explain)
    except (ServiceError, OSError, ValueError) as error:
        return {"source": source, "error": str(error)}
    return result


def _expand_folders(sources: list[str]) -> Iterator[str]:
    """The sources, each folder replaced by the image files in it and below it."""
    for source in dict.fromkeys(sources):
        if is_url(source) or not Path(source).is_dir():
            yield source
        else:
            files = sorted(Path(source).rglob("*"))
            yield from (str(file) for file in files if file.suffix.lower() in SUFFIXES)


@contextlib.contextmanager
def _open_output(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    with path.open("a", newline="") as file:
        yield file


def _parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("sports", description=__doc__, formatter_class=raw)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("predict", help="say which sport images show")
    command.add_argument("sources", nargs="+", metavar="FILE|URL|FOLDER")
    style = command.add_mutually_exclusive_group()
    style.add_argument("--json", dest="style", action="store_const", const="json")
    style.add_argument("--csv", dest="style", action="store_const", const="csv")
    command.add_argument(
        "--output", type=Path, metavar="FILE", help="append JSON lines or CSV to this file"
    )
    command.add_argument(
        "--explain", type=Path, metavar="OUT.png", help="draw where the model looked"
    )
    host = os.environ.get("SPORTS_HOST", "localhost:9696")
    command.add_argument("--host", default=host, help="HOST:PORT or URL (SPORTS_HOST)")
    key = os.environ.get("SPORTS_API_KEY", "")
    command.add_argument("--key", default=key, help="an API key (SPORTS_API_KEY)")
    options = parser.parse_args(arguments)
    options.parser = command
    options.style = options.style or ("json" if options.output else "text")
    return options


if __name__ == "__main__":
    main()
