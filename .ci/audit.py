"""Look for packages with known vulnerabilities in every lock, for every platform and Python."""

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
LOCKS = [
    *(f"{folder}/requirements.lock" for folder in ("gateway", "client", "model/server", "trainer")),
    *("bulk/tests/requirements.lock", ".ci/requirements.lock"),
]
# The first versions without what is known of them; checked also where the database is unreachable.
FIXED = {
    "dnspython": ("2.9.0", "CVE-2026-114605"),
    "gunicorn": ("26.1", "fixes of 2026"),
    "pillow": ("13.0.0", "CVE-2026-112403, CVE-2026-96636, CVE-2026-96639, CVE-2026-96643"),
    "urllib3": ("2.8.0", "fixes of 2026"),
}
Pin = tuple[str, str]  # name and version


def pins(lock: str) -> list[Pin]:
    """All that a lock can install, whatever the markers say about this machine."""
    lines = lock.replace("\\\n", "").splitlines()
    found = [Requirement(line.partition(" --hash")[0]) for line in lines if line[:1].isalnum()]
    return [(each.name, next(iter(each.specifier)).version) for each in found]


def too_old(pins: Iterable[Pin]) -> Iterator[tuple[Pin, str]]:
    for name, version in pins:
        fixed, flaw = FIXED.get(name, ("0", ""))
        if Version(version) < Version(fixed):
            yield (name, version), f"{flaw}, fixed in {fixed}"


def in_database(pins: Iterable[Pin]) -> Iterator[tuple[Pin, str]]:
    """What pip-audit knows of them. A lock can have several versions of a package, a run cannot."""
    rounds: dict[int, list[Pin]] = defaultdict(list)
    seen: dict[str, int] = defaultdict(int)
    for name, version in pins:
        rounds[seen[name]].append((name, version))
        seen[name] += 1
    audited = 0
    for group in rounds.values():
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.writelines(f"{name}=={version}\n" for name, version in group)
            file.flush()
            command = ["pip_audit", "--no-deps", "--disable-pip", "--format=json", "--requirement"]
            run = subprocess.run(
                [sys.executable, "-m", *command, file.name], capture_output=True, text=True
            )
        if not run.stdout:
            print(f"not audited: {run.stderr.strip().splitlines()[-1]}")
            return
        for package in json.loads(run.stdout)["dependencies"]:
            audited += "skip_reason" not in package
            for flaw in package.get("vulns", []):
                yield (package["name"], package["version"]), flaw["id"]
    print(f"{audited} of {sum(map(len, rounds.values()))} packages are in the database")


def main() -> None:
    locks = {lock: pins((ROOT / lock).read_text()) for lock in LOCKS}
    every = sorted({pin for pins in locks.values() for pin in pins})
    flaws = [*too_old(every), *in_database(every)]
    for pin, flaw in flaws:
        where = ", ".join(lock for lock, pins in locks.items() if pin in pins)
        print(f"{' '.join(pin)}: {flaw} ({where})")
    sys.exit(f"{len(flaws)} known vulnerabilities" if flaws else 0)


if __name__ == "__main__":
    main()
