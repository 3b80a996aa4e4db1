"""The Dockerfiles, built without Docker on stand-ins of their base images, and the gateway started.

The stand-in of python:3.13-slim-trixie is a Debian trixie with its own Python 3.13, kept between
runs. What cannot be had here is TensorFlow Serving itself.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from machine import CACHE, ROOT, need, need_mounts, need_root, note, output
from manifests import rendered
from test_manifests import environment

BASE = "localhost/trixie-python:1"
MEGABYTE = 1_000_000
MAX_ADDED = 170 * MEGABYTE
SAMPLE = ROOT / "dataset/samples/soccer.jpg"
PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
# Nothing that a container makes anew belongs into an image.
LEFT_OUT = ("proc", "sys", "dev", "var/cache/apt/archives", "var/lib/apt/lists")


@dataclass
class Store:
    """Images, in a folder of our own."""

    folder: Path

    def __call__(self, tool: str, *arguments: object) -> str:
        run = f"--runroot={self.folder / 'run'}"
        return output(tool, f"--root={self.folder / 'images'}", run, *arguments)

    def build(self, folder: str, tag: str, *options: str) -> dict:
        """Build a Dockerfile; what the image says of itself."""
        self(
            "buildah",
            *("bud", "--isolation=chroot", "--format=docker", "--quiet", f"--tag={tag}"),
            "--volume=/etc/ssl/certs:/etc/ssl/certs:ro",
            *options,
            ROOT / folder,
        )
        return self.inspect(tag)

    def inspect(self, tag: str) -> dict:
        [image] = json.loads(self("podman", "image", "inspect", tag))
        return image

    def has(self, tag: str) -> bool:
        return tag in self("podman", "images", "--format={{.Repository}}:{{.Tag}}").split()


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    need_root()
    need("buildah", "podman", "debootstrap")
    need_mounts()
    CACHE.mkdir(parents=True, exist_ok=True)
    store = Store(CACHE)
    if not store.has(BASE):
        store("podman", "import", "--quiet", base_archive(), BASE)
    yield store
    store("podman", "image", "prune", "--force")  # what the next build has taken the name from


def base_archive() -> Path:
    """A Debian with Python as a tar file."""
    archive = CACHE / "trixie-python.tar"
    if archive.exists():
        return archive
    folder = CACHE / "trixie-python"
    shutil.rmtree(folder, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "trixie", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"debootstrap could not make a base: {made.stdout[-200:]}")
    (folder / "usr/bin/python").symlink_to("python3")

    def wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if member.name.startswith(tuple(f"{name}/" for name in LEFT_OUT)) else member

    with tarfile.open(archive.with_suffix(".part"), "w") as file:
        for path in sorted(folder.iterdir()):
            file.add(path, path.name, filter=wanted)
    shutil.rmtree(folder)
    return archive.with_suffix(".part").rename(archive)


@pytest.fixture(scope="module")
def gateway(store: Store) -> dict:
    base = f"--build-arg=PYTHON_IMAGE={BASE}"
    return store.build("gateway", "localhost/sports-gateway:test", base)


@pytest.fixture(scope="module")
def root(store: Store, gateway: dict, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The gateway image's files as a pod has them: read-only, with /tmp and devices."""
    container = store("buildah", "from", "localhost/sports-gateway:test").strip()
    image, folder = store("buildah", "mount", container).strip(), tmp_path_factory.mktemp("root")
    output("mount", "--bind", image, folder)
    output("mount", "--options", "remount,ro,bind", folder)
    output("mount", "--types", "tmpfs", "tmpfs", folder / "tmp")
    output("mount", "--bind", "/dev", folder / "dev")
    try:
        yield folder
    finally:
        output("umount", "--recursive", folder)
        store("buildah", "rm", container)


def test_the_gateway_image_is_small(store: Store, gateway: dict) -> None:
    added = gateway["Size"] - store.inspect(BASE)["Size"]
    note(f"the gateway adds {added / MEGABYTE:.0f} MB to its base image")
    assert 0 < added <= MAX_ADDED


def test_the_gateway_image_says_what_it_is(gateway: dict) -> None:
    config = gateway["Config"]
    assert config["User"] == "10001:10001"
    assert config["Cmd"] == ["gunicorn"]
    assert "9696/tcp" in config["ExposedPorts"]
    assert config["Labels"]["org.opencontainers.image.title"] == "sports-gateway"
    assert "healthz" in str(gateway["Healthcheck"]["Test"])


def test_the_gateway_image_holds_the_gateway_and_nothing_else(root: Path) -> None:
    assert {path.name for path in (root / "app").iterdir()} >= {"gateway", "gunicorn.conf.py"}
    assert not (root / "app/tests").exists()
    packages = {path.name for path in root.glob("venv/lib/python3*/site-packages/*")}
    assert {"flask", "grpc", "gunicorn", "numpy"} <= packages
    assert not {"tensorflow", "pip", "pytest"} & packages
    assert not any((root / "usr/bin" / tool).exists() for tool in ("gcc", "cc", "make"))


@pytest.fixture(scope="module")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The embedded model server with a tiny model; its address."""
    pytest.importorskip("model_server", reason="needs the embedded model server's environment")
    import run_local

    folder = str(tmp_path_factory.mktemp("sports"))
    # In a process of its own: TensorFlow need not live in this one.
    program = f"from saved_models import *; write_sports_model(Path({folder!r}))"
    output(sys.executable, "-c", program, cwd=ROOT / "gateway/tests")
    host = f"localhost:{run_local.free_port()}"
    command = run_local.server_command({"MODEL_BASE_PATH": folder}, host)
    with run_local.running(command, os.environ, ROOT / "model/server") as process:
        settings = run_local.Settings(tf_serving_host=host)
        run_local.wait_until_loaded(settings, {"model server": process})
        yield host


@pytest.fixture
def service(root: Path, gateway: dict, model_server: str) -> Iterator[str]:
    """The image's own command under chroot, with its user and its Deployment's environment."""
    with socket.create_server(("localhost", 0)) as probe:
        port = probe.getsockname()[1]
    environ = dict(variable.split("=", 1) for variable in gateway["Config"]["Env"])
    environ |= environment(rendered("eks").container("gateway"))
    environ |= {"TF_SERVING_HOST": model_server, "PORT": str(port), "HOME": "/"}
    chroot = ["chroot", f"--userspec={gateway['Config']['User']}", str(root), "env", "-C", "/app"]
    process = subprocess.Popen([*chroot, *gateway["Config"]["Cmd"]], env=environ)
    url = f"http://localhost:{port}"
    try:
        wait_for(f"{url}/readyz", process)
        yield url
    finally:
        process.terminate()
        assert process.wait(30) == 0


def wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if requests.get(url, timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    pytest.fail(f"{url} was not there in time")


def test_the_built_gateway_answers(service: str, root: Path, gateway: dict) -> None:
    assert requests.get(f"{service}/ping", timeout=5).text == "pong"
    response = requests.post(
        f"{service}/predict?show_probability=true",
        data=SAMPLE.read_bytes(),
        headers={"Content-Type": "image/jpeg"},
        timeout=30,
    )
    assert response.status_code == 200
    assert sum(response.json().values()) == pytest.approx(1, abs=1e-3)
    kind, python, *check = gateway["Healthcheck"]["Test"]
    assert (kind, python) == ("CMD", "python")
    check[-1] = check[-1].replace("9696", service.split(":")[-1])
    user = gateway["Config"]["User"]
    output("chroot", f"--userspec={user}", root, "/venv/bin/python", *check)


def test_the_embedded_servers_health_check(model_server: str) -> None:
    script = ROOT / "model/server/healthy.py"
    output(sys.executable, script, model_server)
    nobody = subprocess.run([sys.executable, script, "localhost:1"], capture_output=True)
    assert nobody.returncode == 1
    assert b"UNAVAILABLE" in nobody.stderr


def test_the_model_image(store: Store, tmp_path: Path) -> None:
    """Its files, user and command; the server itself is a stand-in that says how it was started."""
    server = tmp_path / "tensorflow_model_server"
    server.write_text('#!/bin/sh\nid -u\nprintf "%s\\n" "$@"\n')
    server.chmod(0o755)
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nCOPY tensorflow_model_server /usr/bin/\n")
    store("buildah", "bud", "--quiet", "--tag=localhost/tf-serving:test", tmp_path)
    base = "--build-arg=TF_SERVING_IMAGE=localhost/tf-serving:test"
    image = store.build("model", "localhost/sports-model:test", base)
    assert image["Config"]["User"] == "10001:10001"
    assert image["Config"]["Entrypoint"] == ["serve.sh"]
    container = store("buildah", "from", "localhost/sports-model:test").strip()
    try:
        inside = ("buildah", "run", "--isolation=chroot", container)
        user, *flags = store(*inside, "serve.sh").splitlines()
        assert user == "10001"
        given = dict(flag.removeprefix("--").split("=", 1) for flag in flags)
        assert given["port"] == "8500"
        files = ["batching_parameters_file", "monitoring_config_file"]
        readable = " && ".join(f"cat {given[name]}" for name in files)
        versions = f"cat {given['model_base_path']}/*/saved_model.pb | wc -c"
        text = store(*inside, "sh", "-c", f"{readable} && {versions}")
        assert "num_batch_threads" in text
        assert "prometheus_config" in text
        assert int(text.split()[-1]) > MEGABYTE
    finally:
        store("buildah", "rm", container)
