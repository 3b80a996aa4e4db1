"""The command `sports`: what do pictures show?

    sports predict FILE|URL|FOLDER ... [--json | --csv] [--output FILE] [--explain OUT.png]
                                       [--host HOST:PORT]

Results go to standard output, or to --output; a command that is repeated with the same --output
goes on where it stopped. The exit code is 0 when every picture was answered, 1 when one could not
be, 2 for a wrong command line, 3 when the service is away.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from sports.heat import lay_over
from sports.results import Result, Writer, read_sources
from sports.service import Service, ServiceAway, ServiceError, is_url

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"}
ANSWERED, SOME_FAILED, WRONG_USE, AWAY = 0, 1, 2, 3


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    try:
        sys.exit(predict(options))
    except ServiceAway as error:
        print(f"sports: {error}", file=sys.stderr)
        sys.exit(AWAY)
    except KeyboardInterrupt:
        print("sports: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # whoever reads has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def predict(options: argparse.Namespace) -> int:
    """Ask about each picture, and say by the exit code whether all were answered.

    Raises:
        ServiceAway: the service cannot be reached, or is busy for too long.
    """
    service = Service(options.host, options.key)
    sources = list(_pictures(options.sources))
    if options.explain and (len(sources) != 1 or is_url(sources[0])):
        options.parser.error("--explain takes one file")
    done = set(read_sources(options.output, options.style)) if options.output else set()
    left = [source for source in sources if source not in done]
    failed = 0
    with _output(options.output) as file:
        writer = Writer(file, options.style, header=not done)
        for source in tqdm(left, disable=len(left) < 2 or not sys.stderr.isatty(), unit="picture"):
            result = _ask(service, source, options.explain)
            failed += "error" in result
            writer.write(result)
    return SOME_FAILED if failed else ANSWERED


def _ask(service: Service, source: str, explain: Path | None) -> Result:
    try:
        result = service.predict(source, explain is not None)
        if explain is not None:
            lay_over(Path(source), result.pop("heatmap"), explain)
    except (ServiceError, OSError, ValueError) as error:
        return {"source": source, "error": str(error)}
    return result


def _pictures(sources: list[str]) -> Iterator[str]:
    """The sources, with each folder's pictures, its folders' too, in its place."""
    for source in dict.fromkeys(sources):
        if is_url(source) or not Path(source).is_dir():
            yield source
        else:
            files = sorted(Path(source).rglob("*"))
            yield from (str(file) for file in files if file.suffix.lower() in SUFFIXES)


@contextlib.contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    with path.open("a", newline="") as file:
        yield file


def _options(arguments: list[str] | None) -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("sports", description=__doc__, formatter_class=raw)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("predict", help="say what pictures show")
    command.add_argument("sources", nargs="+", metavar="FILE|URL|FOLDER")
    style = command.add_mutually_exclusive_group()
    style.add_argument("--json", dest="style", action="store_const", const="json")
    style.add_argument("--csv", dest="style", action="store_const", const="csv")
    command.add_argument("--output", type=Path, metavar="FILE", help="of JSON lines, or CSV")
    command.add_argument("--explain", type=Path, metavar="OUT.png", help="where the model looked")
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
