"""Stands in for docker, kind, kubectl, aws and eksctl: records what it is asked, and plays along.

The folder $STATE holds `calls`, one line for each call, and a file for each thing that exists.
A call that contains $FAILS fails.
"""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

STATE = Path(os.environ["STATE"])
tool, arguments = Path(sys.argv[0]).name, sys.argv[1:]
call = " ".join([tool, *arguments])
with (STATE / "calls").open("a") as file:
    print(call, file=file)
if (fails := os.environ.get("FAILS")) and fails in call:
    sys.exit(f"{tool}: as the test wants it")


def option(name: str) -> str:
    return arguments[arguments.index(name) + 1]


def thing(name: str) -> Path:
    return STATE / name.replace("/", "_")


def exit_when_absent(name: str) -> None:
    sys.exit(not thing(name).exists())


if call.startswith("docker build"):
    identity = hashlib.sha256(arguments[-1].encode()).hexdigest()
    Path(option("--iidfile")).write_text(f"sha256:{identity}")
elif call.startswith("docker login"):
    assert sys.stdin.read() == "secret\n"
elif call.startswith("docker push"):
    thing(f"tag {arguments[-1].split(':')[1]}").touch()
elif call == "kind get clusters":
    print("\n".join(path.name for path in STATE.glob("cluster-*")).replace("cluster-", ""))
elif call.startswith("kind create cluster"):
    thing(f"cluster-{option('--name')}").touch()
elif call.startswith("kind delete cluster"):
    thing(f"cluster-{option('--name')}").unlink()
elif " apply -k " in call:
    command = [os.environ["KUBECTL"], "kustomize", option("-k")]
    (STATE / "applied").write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
elif " port-forward " in call:
    print(f"Forwarding from 127.0.0.1:{os.environ['SERVICE_PORT']} -> 9696", flush=True)
    signal.pause()
elif call.startswith("aws sts get-caller-identity"):
    print("123456789012")
elif "get-login-password" in call:
    print("secret")
elif "create-repository" in call:
    thing(f"repository {option('--repository-name')}").touch()
elif "describe-repositories" in call:
    exit_when_absent(f"repository {option('--repository-names')}")
elif "describe-images" in call:
    exit_when_absent(f"tag {option('--image-ids').removeprefix('imageTag=')}")
elif call.startswith("eksctl get cluster"):
    exit_when_absent("eks cluster")
elif call.startswith("eksctl create cluster"):
    thing("eks cluster").touch()
