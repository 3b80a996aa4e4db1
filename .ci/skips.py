"""Fail when tests skip that should not: a skipped test proves nothing, and CI stays green."""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

REPORTS = Path(__file__).resolve().parent.parent / ".venv/reports"
# What may be missing on a machine where CI runs, in the words of the tests' skip reasons.
ALLOWED = ("../shared", "SCREENSHOTS names no folder", "Ray is not installed")


def main() -> None:
    skipped = [
        (f"{case.get('classname')}::{case.get('name')}", (skip.get("message") or "").strip())
        for report in sorted(REPORTS.glob("*.xml"))
        for case in ElementTree.parse(report).iter("testcase")
        for skip in case.iter("skipped")
    ]
    unexpected = [
        f"{test}: {reason}"
        for test, reason in skipped
        if not any(allowed in reason for allowed in ALLOWED)
    ]
    print(f"{len(skipped)} tests skipped, {len(unexpected)} of them unexpectedly")
    sys.exit("\n".join(unexpected) or 0)


if __name__ == "__main__":
    main()
