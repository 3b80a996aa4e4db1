"""pin-images.sh against a registry on this machine."""

import hashlib
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from machine import ROOT, need

SCRIPT = "kube-config/pin-images.sh"
FILES = (
    *("docker-compose.yaml", "bulk/Dockerfile", "gateway/Dockerfile", "model/Dockerfile"),
    *("model/server/Dockerfile", "kube-config/overlays/openvino/Dockerfile"),
)
TOOLS = ("bash", "dirname", "env", "grep", "sed", "sha256sum", "skopeo", "sort")
KIND = "application/vnd.oci.image.index.v1+json"
REFERENCE = re.compile(r"^(?:ARG \w+_IMAGE=| +image: )(\S+)", re.MULTILINE)
DOCKER = """#!/usr/bin/env bash
[ "${*:1:4}" = "buildx imagetools inspect --raw" ] && skopeo inspect --raw "docker://$5"
"""
REGISTRIES = """
[[registry]]
prefix = "docker.io"
location = "127.0.0.1:{port}"
insecure = true
"""


class Registry(BaseHTTPRequestHandler):
    """Has every tag of every image, except those in `missing`."""

    generation = 0
    missing = ""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        tag = re.fullmatch(r"/v2/(.+)/manifests/(.+)", self.path)
        body = manifest(f"{tag[1]}:{tag[2]}", self.generation) if tag else b"{}"
        self.send_response(404 if tag and tag[1] == self.missing else 200)
        self.send_header("Content-Type", KIND)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def manifest(image: str, generation: int) -> bytes:
    content = {"schemaVersion": 2, "mediaType": KIND, "manifests": [], image: generation}
    return json.dumps(content).encode()


def pinned(image: str, generation: int) -> str:
    """The reference that the script should write."""
    name = image.split("@")[0]
    full = name if "/" in name else f"library/{name}"
    return f"{name}@sha256:{hashlib.sha256(manifest(full, generation)).hexdigest()}"


class Clone:
    """A copy of the files that name images, and of the script, which has only `TOOLS`."""

    def __init__(self, folder: Path, port: int) -> None:
        self._root = folder / "root"
        for name in (*FILES, SCRIPT):
            (self._root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self._root / name)
        (bin_folder := folder / "bin").mkdir()
        for tool in TOOLS:
            (bin_folder / tool).symlink_to(str(shutil.which(tool)))
        settings = folder / ".config/containers/registries.conf"
        settings.parent.mkdir(parents=True)
        settings.write_text(REGISTRIES.format(port=port))
        self._environ = {"PATH": str(bin_folder), "HOME": str(folder), "TMPDIR": str(folder)}

    def add_docker(self) -> None:
        """With docker on the PATH, the script asks it."""
        docker = Path(self._environ["PATH"]) / "docker"
        docker.write_text(DOCKER)
        docker.chmod(0o755)

    def pin(self) -> subprocess.CompletedProcess[str]:
        command = [self._root / SCRIPT]
        return subprocess.run(command, env=self._environ, capture_output=True, text=True)

    def text(self) -> str:
        return "\n".join((self._root / name).read_text() for name in FILES)

    def images(self) -> list[str]:
        """The images that others made."""
        return [image for image in REFERENCE.findall(self.text()) if not image.endswith(":local")]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clone]:
    need(*TOOLS)
    monkeypatch.setattr(Registry, "generation", 0)
    monkeypatch.setattr(Registry, "missing", "")
    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Clone(tmp_path, server.server_port)
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("tool", ["docker", "skopeo"])
def test_images_are_pinned_and_renewed(clone: Clone, tool: str) -> None:
    if tool == "docker":
        clone.add_docker()
    before, text = clone.images(), clone.text()
    assert len(before) == 9
    for generation in (1, 2):
        Registry.generation = generation
        done = clone.pin()
        assert done.returncode == 0, done.stderr
        assert clone.images() == [pinned(image, generation) for image in before]
        assert set(done.stdout.split()) == set(clone.images())
    assert re.sub("@sha256:[0-9a-f]{64}", "", clone.text()) == text


def test_a_tag_that_does_not_exist_is_a_failure(clone: Clone) -> None:
    Registry.missing = "grafana/grafana"
    before = clone.images()
    done = clone.pin()
    assert done.returncode
    assert "grafana/grafana" in done.stderr
    assert [image for image in clone.images() if "grafana" in image] == [
        image for image in before if "grafana" in image
    ]
