"""The command `sports`: say which sport images show."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator

from sports import interruption
from sports.arguments import Options, parse_arguments
from sports.classify import classify, report
from sports.client import Client, ServiceUnavailable, is_url
from sports.results import NAMES, ResultWriter, open_results, resume
from sports.sources import expand_folders, read_list, watch_folder

ALL_CLASSIFIED, SOME_FAILED, WRONG_USE, UNAVAILABLE, INTERRUPTED = 0, 1, 2, 3, 130


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    interruption.prepare()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=NAMES)
    try:
        sys.exit({"predict": predict, "watch": watch}[options.command](options))
    except ServiceUnavailable as error:
        report(str(error))
        sys.exit(UNAVAILABLE)
    except KeyboardInterrupt:
        report("interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError) as error:
        report(str(error))
        sys.exit(WRONG_USE)


def predict(options: Options) -> int:
    """Classify every image and return the exit code.

    Raises:
        ServiceUnavailable: the service is unreachable, stays busy or does not accept the key.
        ValueError: there is nothing to classify, or something cannot be done with these sources.
        OSError: a list or the output cannot be read or written.
    """
    sources = expand_folders(_sources(options))
    if not sources:
        raise ValueError("nothing to classify: name a file, a URL or a folder")
    if options.explain and (len(sources) != 1 or is_url(sources[0])):
        raise ValueError("--explain takes one file")
    done = resume(options.output, options.style, set(sources)) if options.output else set()
    remaining = [source for source in sources if source not in done]
    if not remaining:
        report(f"{options.output} already has all {len(sources)} images")
        return ALL_CLASSIFIED
    with _open_writer(options) as writer:
        failed = classify(Client(options.host, options.key), remaining, writer, options)
    return SOME_FAILED if failed else ALL_CLASSIFIED


def watch(options: Options) -> None:
    """Classify the images in a folder, and those that it gets, until it is interrupted.

    Raises:
        ServiceUnavailable, ValueError, OSError: as `predict`.
    """
    client = Client(options.host, options.key)
    done = resume(options.output, options.style) if options.output else set()
    with _open_writer(options) as writer:
        for sources in watch_folder(options.folder, done):
            classify(client, sources, writer, options)


def _sources(options: Options) -> Iterator[str]:
    for source in options.sources:
        yield from read_list(sys.stdin) if source == "-" else [source]
    if options.list:
        with options.list.open() as file:
            yield from read_list(file)


@contextlib.contextmanager
def _open_writer(options: Options) -> Iterator[ResultWriter]:
    if options.output is None:
        yield ResultWriter(sys.stdout, options.style)
        return
    with open_results(options.output, "a") as file:
        yield ResultWriter(file, options.style, header=file.tell() == 0)


if __name__ == "__main__":
    main()
