"""Look for known vulnerabilities in what the images install; without the database, say so."""

import json
import subprocess
import sys

LOCKS = ("gateway/requirements.lock", "model/server/requirements.lock")
COMMAND = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--format=json"]


def main() -> None:
    found = 0
    for lock in LOCKS:
        run = subprocess.run(
            [*COMMAND, "--requirement", lock], check=False, capture_output=True, text=True
        )
        if not run.stdout:
            print(f"{lock}: not audited: {run.stderr.strip().splitlines()[-1]}")
            continue
        packages = json.loads(run.stdout)["dependencies"]
        audited = [package for package in packages if "skip_reason" not in package]
        for package in audited:
            for flaw in package["vulns"]:
                print(f"{lock}: {package['name']} {package['version']}: {flaw['id']}")
                found += 1
        print(f"{lock}: {len(audited)} of {len(packages)} packages are in the database")
    sys.exit(f"{found} known vulnerabilities" if found else 0)


if __name__ == "__main__":
    main()
