"""Is a bulk job as fast as the processors allow, and are memory and repeated work bounded?

    python bench/bulk.py [rates] [nodes] [memory] [kills] [--rows 3000] [--rounds 2]

Without names it measures the rates, in about eight minutes on two processors. Images are the
samples, as files and from a server that answers after 50 ms. It needs `make .venv/bulk/ready`.
"""

import argparse
import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import bulk_jobs
import requests
import services
from bulk_jobs import Job
from image_source import ImageSource, image_source, link_samples
from processes import started
from services import ROOT, python
from tables import median_and_range, table

PROCESSORS = os.cpu_count() or 1
SECONDS = 10.0  # for the model alone, and for the service
CALLS = 2  # to the service at once, 16 URLs each
URLS = 16
LATENCY = 0.05  # seconds, of the source of the images
MEMORY_ROWS = (10_000, 50_000)
MODEL, BOUND, FOLDER, WEB = "model", "decode+model", "job, folder", "job, URLs"
PLAIN_FOLDER, PLAIN_WEB = "multiprocessing, folder", "multiprocessing, URLs"
SERVICE = "service, 16 URLs a call"
Rates = dict[str, list[tuple[float, float]]]  # of each kind and round: the whole, and the middle


class Workspace:
    """Inputs and outputs of jobs."""

    def __init__(self, folder: Path, source: ImageSource) -> None:
        self._folder, self._count, self.source = folder, 0, source

    def output(self) -> Path:
        self._count += 1
        return self._folder / f"out{self._count}"

    def images(self, rows: int) -> Path:
        folder = self._folder / f"images-{rows}"
        if not folder.exists():
            link_samples(folder, rows)
        return folder

    def list(self, name: str, sources: list[str]) -> Path:
        file = self._folder / f"{name}-{len(sources)}.txt"
        file.write_text("\n".join(sources))
        return file

    def urls(self, rows: int) -> Path:
        return self.list("urls", self.source.urls(rows))

    def faulty_urls(self, rows: int) -> Path:
        """A list of which 1 % are broken images, and where nobody answers at another 1 %."""
        urls = self.source.urls(rows)
        urls[50::100] = [f"{url}?broken" for url in urls[50::100]]
        dead = f"http://127.0.0.1:{bulk_jobs.DEAD_PORT}"
        urls[51::100] = [f"{dead}/{row}.jpg" for row in range(51, rows, 100)]
        return self.list("faulty", urls)

    def run(
        self, command: Callable[..., tuple[str, ...]], source: Path, rows: int, failed: int = 0
    ) -> Job:
        output = self.output()
        job = bulk_jobs.run(command(source, output), self.source, output, rows, failed)
        if failed:
            print((output / "summary.txt").read_text(), flush=True)
        return job


@contextlib.contextmanager
def engines(kind: str) -> Iterator[Callable[[], float]]:
    """A process for each processor; the function returns the images a second of all together."""
    command = [python("bulk"), str(ROOT / "bench/bulk_engine.py"), kind]
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(piped(command)) for _ in range(PROCESSORS)]

        def rate() -> float:
            for process in processes:
                print(SECONDS, file=process.stdin, flush=True)
            return sum(float(json.loads(line(process))["rate"]) for process in processes)

        for process in processes:
            line(process)
        yield rate


def piped(command: Sequence[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def line(process: "subprocess.Popen[str]") -> str:
    """The next line that a process prints.

    Raises:
        RuntimeError: it has ended.
    """
    found = process.stdout.readline() if process.stdout else ""
    if not found:
        raise RuntimeError(f"{process.args!r} has ended")
    return found


def service_rate(url: str, source: ImageSource) -> float:
    """Images a second of calls with 16 URLs each."""
    urls = source.urls(URLS)
    until = time.perf_counter() + SECONDS

    def client(_: int) -> int:
        done = 0
        while time.perf_counter() < until:
            answer = requests.post(url, json={"urls": urls}, timeout=60)
            answer.raise_for_status()
            done += sum("label" in item for item in answer.json()["predictions"])
        return done

    began = time.perf_counter()
    with ThreadPoolExecutor(CALLS) as threads:
        done = sum(threads.map(client, range(CALLS)))
    return done / (time.perf_counter() - began)


def measure_rates(work: Workspace, rows: int, rounds: int) -> None:
    images, urls = work.images(rows), work.urls(rows)
    paths = work.list("paths", sorted(map(str, images.iterdir())))
    jobs = {
        FOLDER: (bulk_jobs.bulk, images),
        PLAIN_FOLDER: (bulk_jobs.plain, paths),
        WEB: (bulk_jobs.bulk, urls),
        PLAIN_WEB: (bulk_jobs.plain, urls),
    }
    slots = {"GATEWAY_MAX_IN_FLIGHT": f"{CALLS * URLS}", "GATEWAY_MAX_PER_SOURCE": f"{URLS}"}
    service = services.ours("service", "int8", slots)
    rates: Rates = {}
    with contextlib.ExitStack() as stack:
        alone = {kind: stack.enter_context(engines(kind)) for kind in (MODEL, BOUND)}
        running = stack.enter_context(started(service, work.source.urls(1)[0]))
        url = running.url.replace("/predict", "/v1/predictions")
        for _ in range(rounds):
            for kind, rate in alone.items():
                rates.setdefault(kind, []).append((rate(),) * 2)
            for kind, (command, given) in jobs.items():
                job = work.run(command, given, rows)
                rates.setdefault(kind, []).append((job.rate, job.steady))
            rates.setdefault(SERVICE, []).append((service_rate(url, work.source),) * 2)
    print(f"{rows} rows, {rounds} rounds, {PROCESSORS} processors\n{rates_table(rates)}")


def rates_table(rates: Rates) -> str:
    def ratio(kind: str, other: str, part: int) -> str:
        pairs = zip(rates[kind], rates[other], strict=True)
        return median_and_range([ours[part] / theirs[part] for ours, theirs in pairs])

    rows = [
        (
            kind,
            *(f"{median(each[part] for each in found):.1f}" for part in (0, 1)),
            *(ratio(kind, other, part) for other in (MODEL, BOUND) for part in (0, 1)),
        )
        for kind, found in rates.items()
    ]
    head = ("images/s, whole", "middle", "of model, whole", "middle", "of decode+model, whole")
    return table(("what", *head, "middle"), rows)


def measure_nodes(work: Workspace, rows: int, rounds: int) -> None:
    """One Ray node with all processors, and as many nodes with one each."""
    found: dict[int, list[Job]] = {}
    for _ in range(rounds):
        for nodes in (1, PROCESSORS):
            command = [python("bulk"), str(ROOT / "bench/bulk_nodes.py"), str(nodes)]
            with piped(command) as cluster:
                output, address = work.output(), line(cluster).strip()
                job = bulk_jobs.bulk(work.urls(rows), output, "--address", address)
                found.setdefault(nodes, []).append(bulk_jobs.run(job, work.source, output, rows))
                cluster.communicate()  # ends its input
    for nodes, jobs in found.items():
        print(f"{nodes} nodes: {median_and_range([job.steady for job in jobs])} images/s")


def measure_memory(work: Workspace) -> None:
    """Jobs of few and of many URLs, 2 % of which fail."""
    peaks = {}
    for rows in MEMORY_ROWS:
        job = work.run(bulk_jobs.bulk, work.faulty_urls(rows), rows, failed=rows // 50)
        print(f"{rows} rows, none missing or twice: {job.peak / 1e6:.0f} MB, {job.steady:.0f}/s")
        peaks[rows] = job.peak
    few, many = (peaks[rows] for rows in MEMORY_ROWS)
    print(f"ratio {many / few:.3f}")


def measure_kills(work: Workspace, rows: int) -> None:
    """Kill a process that computes, then the command, and start it again."""
    output, before = work.output(), work.source.requests()
    command = bulk_jobs.bulk(work.urls(rows), output)
    parts = -(-rows // bulk_jobs.PART)
    with bulk_jobs.started(command, work.source) as process:
        bulk_jobs.wait_for_files(process, output, parts // 3)
        bulk_jobs.kill_classifier(process)
        bulk_jobs.wait_for_files(process, output, 2 * parts // 3)
        bulk_jobs.kill_driver(process)
    done = len(bulk_jobs.files(output))
    with bulk_jobs.started(command, work.source) as process:
        process.wait()
    # The report has fetched its examples once more.
    examples = (output / "report.html").read_text().count("data:image/jpeg")
    twice = work.source.requests() - before - rows - examples
    found, different, failed = bulk_jobs.count_rows(output)
    print(f"{rows} rows, {done} of {parts} files before the second start; {twice} fetched twice")
    print(f"in the output {found - different} twice, {rows - different} missing, {failed} failed")


def main() -> None:
    sections = ("rates", "nodes", "memory", "kills")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="section", help=", ".join(sections))
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    chosen = options.sections or ["rates"]
    with image_source("samples", LATENCY) as source, tempfile.TemporaryDirectory() as folder:
        work = Workspace(Path(folder), source)
        if "rates" in chosen:
            measure_rates(work, options.rows, options.rounds)
        if "nodes" in chosen:
            measure_nodes(work, options.rows, options.rounds)
        if "memory" in chosen:
            measure_memory(work)
        if "kills" in chosen:
            measure_kills(work, options.rows)


if __name__ == "__main__":
    main()
