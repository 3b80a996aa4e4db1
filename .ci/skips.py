"""Fail when tests skip that should not: a skipped test proves nothing, and CI stays green."""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

REPORTS = Path(__file__).resolve().parent.parent / ".venv/reports"
# What may be missing on a machine where CI runs, in the words of the tests' skip reasons.
ALLOWED = (
    "../shared",
    "SCREENSHOTS names no folder",
    "Ray is not installed",
    "npm is not installed",
    "npm's registry cannot be reached",
)


def reason(skip: ElementTree.Element) -> str:
    """What pytest says; of a module that skips as a whole it is in the text alone."""
    return f"{skip.get('message') or ''} {skip.text or ''}".strip()


def main() -> None:
    skipped = [
        (f"{case.get('classname')}::{case.get('name')}", reason(skip))
        for report in sorted(REPORTS.glob("*.xml"))
        for case in ElementTree.parse(report).iter("testcase")
        for skip in case.iter("skipped")
    ]
    unexpected = [
        f"{test}: {why}" for test, why in skipped if not any(allowed in why for allowed in ALLOWED)
    ]
    print(f"{len(skipped)} tests skipped, {len(unexpected)} of them unexpectedly")
    sys.exit("\n".join(unexpected) or 0)


if __name__ == "__main__":
    main()
