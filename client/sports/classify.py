"""Classifies images, several at once."""

import sys
from functools import partial
from multiprocessing.pool import ThreadPool  # daemon threads: Ctrl-C need not wait for answers
from pathlib import Path

from termcolor import colored
from tqdm import tqdm

from sports import interruption
from sports.arguments import Options
from sports.client import Client, ServiceError
from sports.heatmap import overlay_heatmap
from sports.results import Result, ResultWriter


def classify(client: Client, sources: list[str], writer: ResultWriter, options: Options) -> int:
    """Write the results, in the order of the sources, and return how many images failed.

    Raises:
        ServiceUnavailable: the service is unreachable, stays busy or does not accept the key.
    """
    failed = 0
    no_bar = options.quiet or len(sources) < 2 or not sys.stderr.isatty()
    predict = partial(_predict, client, options.explain)
    with ThreadPool(min(options.jobs, len(sources))) as pool:
        results = pool.imap(predict, sources)
        for result in tqdm(results, total=len(sources), disable=no_bar, unit="image"):
            interruption.check()
            with tqdm.external_write_mode():  # without the bar on the line
                writer.write(result)
                if "error" in result:
                    failed += 1
                    if not options.quiet:
                        report(f"{result['source']}: {result['error']}")
    return failed


def report(text: str) -> None:
    """Write to standard error; in red if it is a terminal."""
    print(colored(f"sports: {text}", "red", no_color=not sys.stderr.isatty()), file=sys.stderr)


def _predict(client: Client, heatmap: Path | None, source: str) -> Result:
    """The prediction for an image, or the error in its place; draws the heat map into a file."""
    try:
        prediction = client.predict(source, explain=heatmap is not None)
        if heatmap is not None:
            overlay_heatmap(Path(source), prediction.pop("heatmap"), heatmap)
    except (ServiceError, OSError, ValueError) as error:
        return {"source": source, "error": str(error)}
    return prediction
