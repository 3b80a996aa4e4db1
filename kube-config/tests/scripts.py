"""The deployment scripts, run in a copy of the repository with fake tools."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml
from machine import ROOT, kubectl, need
from manifests import Manifests

LOCAL, EKS = "./deploy-local-kube.sh", "kube-config/deploy-eks.sh"
TOOLS = ("docker", "kind", "kubectl", "aws", "eksctl")
COPIED = (
    *(LOCAL, EKS, "predict_test.sh", "kube-config/rollout.sh"),
    *("kube-config/eks-config.yaml", "kube-config/ecr-lifecycle.json"),
)
SAMPLE = "dataset/samples/soccer.jpg"


def tag(folder: str) -> str:
    """The tag of the image that the fake docker builds of a folder: a part of the image's ID."""
    return hashlib.sha256(folder.encode()).hexdigest()[:12]


GATEWAY, MODEL = f"sports-gateway:{tag('gateway')}", f"sports-model:{tag('model')}"


def build(name: str, options: str = "", registry: str = "") -> list[str]:
    """The calls that build and tag an image."""
    arguments = f"--build-arg REVISION=unknown --iidfile kube-config/overlays/run/{name} {name}"
    return [
        f"docker build {options}{arguments}",
        f"docker tag sha256:{tag(name)} {registry}sports-{name}:{tag(name)}",
    ]


class FakeMachine:
    """A machine on which docker, kind, kubectl, aws and eksctl are fakes.

    Attributes:
        bin: the folder of the tools.
    """

    def __init__(self, folder: Path, service_port: int) -> None:
        need("curl", "git")
        self.bin, self._state, self._root = (folder / name for name in ("bin", "state", "root"))
        for path in (self.bin, self._state, self._root):
            path.mkdir()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(Path(__file__).with_name("fake_tool.sh"))
        for name in (*COPIED, SAMPLE):
            (self._root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self._root / name)
        for name in ("base", "components", "overlays"):
            shutil.copytree(ROOT / "kube-config" / name, self._root / "kube-config" / name)
        self._environ = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(folder),
            "STATE": str(self._state),
            "KUBECTL": kubectl(),
            "SERVICE_PORT": str(service_port),
            "PUBLIC_ACCESS_CIDRS": "203.0.113.0/24,198.51.100.7/32",
        }

    def run(self, *command: str, **variables: str) -> tuple[int, str]:
        """Run a script; its exit status and what it printed."""
        (self._state / "calls").write_text("")
        process = subprocess.run(
            command,
            cwd=self._root,
            env={**self._environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert not list(self._root.glob("kube-config/overlays/run.*"))
        return process.returncode, process.stdout

    def succeed(self, *command: str, **variables: str) -> str:
        """Run a script, which must not fail; what it printed."""
        status, text = self.run(*command, **variables)
        assert status == 0, text
        return text

    def calls(self) -> list[str]:
        """The calls of the last script, with the random part of folder names left out."""
        calls = (self._state / "calls").read_text()
        return re.sub(r"overlays/run\.\w{6}", "overlays/run", calls).splitlines()

    def cluster_config(self) -> dict[str, Any]:
        """The configuration that eksctl was given."""
        config: dict[str, Any] = yaml.safe_load((self._state / "eks-cluster").read_text())
        return config

    def applied(self) -> Manifests:
        return Manifests(yaml.safe_load_all((self._state / "applied").read_text()))
