"""Measure, print the tables and write bench/RESULTS.md with its plots.

    python bench/run.py [peers] [gateway] [model] [growth] [--seconds 4] [--rounds 3]

Without names, all of them: about 25 minutes on two cores. RESULTS.md is only written by a
run of all, so that its figures are of one run.
"""

import argparse
import datetime
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import alone
import comparison
import gateway_alone
import growth
import plots
import services
from pictures import Source, source
from tables import table

from model_server import processor

RESULTS = Path(__file__).with_name("RESULTS.md")
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


class Section(NamedTuple):
    """What is measured, how it is written down, and what it comes to."""

    measure: Callable[[Source, float, int], Any]
    text: Callable[[Any], str]
    summary: Callable[[Any], list[tuple[str, str]]]


SECTIONS = {
    "peers": Section(comparison.measure, comparison.text, comparison.summary),
    "gateway": Section(gateway_alone.measure, gateway_alone.text, gateway_alone.summary),
    "model": Section(alone.measure, alone.text, alone.summary),
    "growth": Section(growth.measure, growth.text, growth.summary),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="section", help=", ".join(SECTIONS))
    parser.add_argument("--seconds", type=float, default=4, help="how long each load lasts")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    names = options.sections or list(SECTIONS)
    if unknown := set(names) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    services.make_plain_export()
    measured, lines = {}, []
    with source() as pictures:
        for name in names:
            section = SECTIONS[name]
            measured[name] = section.measure(pictures, options.seconds, options.rounds)
            lines += section.summary(measured[name])
            print(f"\n{section.text(measured[name])}\n", flush=True)
    print(table(("in short", "measured"), lines))
    if set(names) == set(SECTIONS):
        plots.draw(measured["peers"], measured["growth"], RESULTS.parent)
        texts = [SECTIONS[name].text(measured[name]) for name in SECTIONS]
        RESULTS.write_text(
            "\n\n".join([_head(options), table(("", "measured"), lines), *texts]) + "\n"
        )
        print(f"written: {RESULTS}")


def _head(options: argparse.Namespace) -> str:
    flags = [flag for flag in FLAGS if flag in processor.flags()]
    return f"""# What was measured

Written by `make bench` on {datetime.date.today()}: {os.cpu_count()} cores with {", ".join(flags)},
Linux {platform.release().split("-")[0]}, Python {platform.python_version()}; each load lasted
{options.seconds:g} s, {options.rounds} rounds in turns. Load generator, pictures' server, gateway
and model share the cores. Absolute figures move from machine to machine and from hour to hour;
ratios of one run less.

TensorFlow Serving's binary was not at hand: in the reference, the embedded model server stands in
for it, with TensorFlow Serving's defaults (float32, no batching) and the plain Keras export.

![Answers a second, and p99, by service](peers.png)
![Answers a second and p99 by clients](growth.png)"""


if __name__ == "__main__":
    main()
