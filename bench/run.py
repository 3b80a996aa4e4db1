"""Measure, print the tables, and write bench/RESULTS.md with its plots.

    python bench/run.py [peers] [gateway] [model] [growth] [--seconds 4] [--rounds 3]

Without names it runs all sections, in about 25 minutes on two cores. Only then it writes
RESULTS.md, so that all its figures are of one run.
"""

import argparse
import datetime
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import comparison
import gateway_alone
import growth
import model_alone
import result_plots
from image_source import ImageSource, image_source
from tables import table

RESULTS = Path(__file__).with_name("RESULTS.md")
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


class Section(NamedTuple):
    """How one part is measured, reported in tables, and summarized in lines."""

    measure: Callable[[ImageSource, float, int], Any]
    report: Callable[[Any], str]
    summary: Callable[[Any], list[tuple[str, str]]]


SECTIONS = {
    "peers": Section(comparison.measure, comparison.report, comparison.summary),
    "gateway": Section(gateway_alone.measure, gateway_alone.report, gateway_alone.summary),
    "model": Section(model_alone.measure, model_alone.report, model_alone.summary),
    "growth": Section(growth.measure, growth.report, growth.summary),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="section", help=", ".join(SECTIONS))
    parser.add_argument("--seconds", type=float, default=4, help="how long each load lasts")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    names = [name for name in SECTIONS if name in (options.sections or SECTIONS)]
    results: dict[str, Any] = {}
    reports, lines = [], []
    with image_source() as source:
        for name in names:
            section = SECTIONS[name]
            results[name] = section.measure(source, options.seconds, options.rounds)
            reports.append(section.report(results[name]))
            lines += section.summary(results[name])
            print(f"\n{reports[-1]}\n", flush=True)
    print(table(("in short", "measured"), lines))
    if names == list(SECTIONS):
        result_plots.draw(results["peers"], results["growth"], RESULTS.parent)
        parts = [_heading(options), table(("", "measured"), lines), *reports]
        RESULTS.write_text("\n\n".join(parts) + "\n")
        print(f"written: {RESULTS}")


def _heading(options: argparse.Namespace) -> str:
    flags = [flag for flag in FLAGS if flag in Path("/proc/cpuinfo").read_text().split()]
    return f"""# Results

Written by `make bench` on {datetime.date.today()}: {os.cpu_count()} cores with {", ".join(flags)},
Linux {platform.release().split("-")[0]}, Python {platform.python_version()}; each load lasted
{options.seconds:g} s, in {options.rounds} rounds, measured alternately. Load generator, image
source, gateway and model share the cores. Absolute figures vary from machine to machine and from
hour to hour; ratios within one run vary less.

TensorFlow Serving's binary was not available: in the reference peers/tf_server.py stands in for it,
with TensorFlow Serving's defaults (float32, no batching) and the plain Keras export.

![Answers a second, and p99, by service](peers.png)
![Answers a second and p99 by clients](growth.png)"""


if __name__ == "__main__":
    main()
