"""What a job found: a table of errors, a summary in words, a report as a web page."""

import base64
import io
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.compute as pc
from jinja2 import Environment
from PIL import Image
from pyarrow import dataset, parquet

from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.images import preprocess
from sports_bulk import storage
from sports_bulk.fetch import Fetch
from sports_bulk.plan import PREDICTIONS, Plan
from sports_bulk.tables import WEB

EXAMPLES = 6  # of each label
SLOWEST = 10  # hosts
SIDE = 96  # pixels of an example
ERROR_COLUMNS = ["row", "source", "error", "detail"]
TEMPLATE = Path(__file__).with_name("report.html")


@dataclass
class Host:
    """Downloads from one host, failed ones too."""

    images: int = 0
    seconds: float = 0.0

    @property
    def mean(self) -> float:
        return self.seconds / self.images


@dataclass
class Findings:
    """Counts over all rows of the output."""

    rows: int = 0
    unknown: int = 0  # probably none of the labels
    labels: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    hosts: dict[str, Host] = field(default_factory=lambda: defaultdict(Host))
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # sources

    def slowest_hosts(self) -> list[tuple[str, Host]]:
        return sorted(self.hosts.items(), key=lambda item: -item[1].mean)[:SLOWEST]

    def add(self, batch: Any) -> None:
        """Count the rows of a record batch."""
        self.rows += batch.num_rows
        self.unknown += pc.sum(pc.equal(batch.column("known"), False)).as_py() or 0
        for column, counter in (("label", self.labels), ("error", self.errors)):
            for item in batch.column(column).drop_null().value_counts().to_pylist():
                counter[item["values"]] += item["counts"]
        rows = (batch.column(name).to_pylist() for name in ("source", "label", "fetch_seconds"))
        for source, label, seconds in zip(*rows, strict=True):
            if label and len(self.examples[label]) < EXAMPLES:
                self.examples[label].append(source)
            if source.lower().startswith(WEB):
                host = self.hosts[_host(source)]
                host.images, host.seconds = host.images + 1, host.seconds + seconds

    def summary(self) -> str:
        """The findings in words."""
        failed = self.errors.total()
        classified = ", ".join(f"{count:,} {label}" for label, count in self.labels.most_common())
        refused = ", ".join(f"{count:,} {error}" for error, count in self.errors.most_common())
        lines = [
            f"{self.rows:,} images: {self.rows - failed:,} classified, {failed:,} failed.",
            f"Classified: {classified or 'none'}.",
            f"Of them {self.unknown:,} probably show none of these.",
        ]
        return "\n".join([*lines, f"Failed: {refused}."] if failed else lines)


def write_report(plan: Plan, settings: Settings, run: str) -> Findings:
    """Write errors.parquet, summary.txt and report.html into the output folder.

    Args:
        run: how long this run took and what it cost, in words.
    """
    findings = Findings()
    with storage.output_stream(storage.join(plan.output, "errors.parquet")) as file:
        _write_errors(file, findings, _batches(plan))
    summary = f"{findings.summary()}\n{run}\n"
    storage.write(storage.join(plan.output, "summary.txt"), summary.encode())
    page = Environment(autoescape=True).from_string(TEMPLATE.read_text())
    thumbnails = _thumbnails(findings, Fetch(plan, settings), settings)
    html = page.render(plan=plan, findings=findings, run=run, examples=thumbnails)
    storage.write(storage.join(plan.output, "report.html"), html.encode())
    return findings


def _write_errors(file: Any, findings: Findings, batches: Iterator[Any]) -> None:
    """Write the rows that failed, and count all."""
    first = next(batches)
    errors = first.select(ERROR_COLUMNS).schema
    with parquet.ParquetWriter(file, errors, compression="zstd") as writer:
        for batch in itertools.chain([first], batches):
            findings.add(batch)
            failed = batch.filter(batch.column("error").is_valid()).select(ERROR_COLUMNS)
            if failed.num_rows:
                writer.write_batch(failed)


def _batches(plan: Plan) -> Iterator[Any]:
    system, path = storage.locate(storage.join(plan.output, PREDICTIONS))
    files = dataset.dataset(path, filesystem=system, format="parquet")
    # Few files are read ahead: memory must not grow with their number.
    yield from files.to_batches(batch_readahead=1, fragment_readahead=2)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _thumbnails(findings: Findings, fetch: Fetch, settings: Settings) -> dict[str, list[str]]:
    """Small JPEGs of each label's examples, as data URLs."""
    found: dict[str, list[str]] = {}
    for label in sorted(findings.examples):
        found[label] = []
        for source in findings.examples[label]:
            try:
                pixels = preprocess(
                    fetch.read(source), (SIDE, SIDE), max_pixels=settings.max_image_pixels
                )
            except (GatewayError, OSError):  # it was there before
                continue
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "JPEG")
            text = base64.b64encode(buffer.getvalue()).decode()
            found[label].append(f"data:image/jpeg;base64,{text}")
    return found
