"""The Dockerfiles of gateway and model, built on substitutes for their base images, and started.

The substitute for python:3.13-slim-trixie is a Debian trixie with its own Python 3.13, the one for
tensorflow/serving has a program that prints how the server would be started.
"""

import importlib.metadata
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import run_local
from gateway_testing.fake_serving import FakeServing
from gateway_testing.ports import free_port
from image_store import BASE, Image, Store, gateway_image, image_store
from machine import ROOT, need, need_root, output
from manifests import rendered
from packaging.utils import canonicalize_name

MEGABYTE = 1_000_000
MAX_ADDED = 170 * MEGABYTE
SAMPLE = ROOT / "dataset/samples/soccer.jpg"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    need_root()
    need("buildah", "podman", "debootstrap")
    with image_store(tmp_path_factory.mktemp("debian")) as store:
        yield store


@pytest.fixture(scope="module")
def gateway(store: Store) -> Image:
    return gateway_image(store)


@pytest.fixture(scope="module")
def root(store: Store, gateway: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files of the gateway's image as in a pod: read-only, with /tmp, /dev and /proc."""
    with store.container(gateway["Id"]) as container:
        image, folder = store("buildah", "mount", container), tmp_path_factory.mktemp("root")
        output("mount", "--bind", image, folder)
        try:
            output("mount", "--options", "remount,ro,bind", folder)
            output("mount", "--types", "tmpfs", "tmpfs", folder / "tmp")
            for system in ("dev", "proc"):
                output("mount", "--bind", f"/{system}", folder / system)
            yield folder
        finally:
            output("umount", "--recursive", folder)


def test_the_gateway_image_is_small(
    store: Store, gateway: Image, record_property: Callable[[str, object], None]
) -> None:
    added = gateway["Size"] - store.inspect(BASE)["Size"]
    record_property("megabytes that the gateway adds to its base image", round(added / MEGABYTE))
    assert 0 < added <= MAX_ADDED


def test_the_gateway_image_contains_only_the_gateway(root: Path) -> None:
    files = {path.name for path in (root / "app").iterdir()}
    expected = {"gateway", "gunicorn.conf.py", "open_inference", "tf_serving"}
    assert files - {"__pycache__"} == expected
    packages = {path.name for path in root.glob("venv/lib/python3*/site-packages/*")}
    assert {"flask", "grpc", "gunicorn", "numpy"} <= packages
    assert not {"tensorflow", "pip", "pytest"} & packages


def test_the_sbom_lists_what_the_gateway_image_installs(root: Path, tmp_path: Path) -> None:
    output(sys.executable, ROOT / ".ci/sbom.py", tmp_path)
    document = json.loads((tmp_path / "sports-gateway.cdx.json").read_text())
    libraries = [each for each in document["components"] if each["type"] == "library"]
    folders = map(str, root.glob("venv/lib/python3*/site-packages"))
    installed = importlib.metadata.distributions(path=list(folders))
    assert {(each["name"], each["version"]) for each in libraries} == {
        (canonicalize_name(each.name), each.version) for each in installed
    }


def test_the_gateway_image_answers(root: Path, gateway: Image) -> None:
    """Its command under chroot, with its user and the environment of its Deployment."""
    serving, port = FakeServing(), free_port()
    environ = dict(variable.split("=", 1) for variable in gateway["Config"]["Env"])
    environ |= rendered("eks").environment("gateway")
    environ |= {"TF_SERVING_HOST": serving.host, "PORT": str(port), "HOME": "/"}
    chroot = ["chroot", f"--userspec={gateway['Config']['User']}", str(root)]
    command = [*chroot, "env", "-C", "/app", *gateway["Config"]["Cmd"]]
    url = f"http://localhost:{port}"
    try:
        with run_local.running(command, environ, ROOT) as process:
            run_local.wait_until_ready(url, {"gateway": process})
            response = requests.post(
                f"{url}/predict",
                SAMPLE.read_bytes(),
                headers={"Content-Type": "image/jpeg"},
                timeout=60,
            )
            assert (response.status_code, response.json()) == (200, "cricket")
            kind, python, *check = gateway["Healthcheck"]["Test"]
            assert (kind, python) == ("CMD", "python")
            check[-1] = check[-1].replace("9696", str(port))
            output(*chroot, "/venv/bin/python", *check)
        assert process.returncode == 0
    finally:
        serving.stop()


def test_the_model_image_starts_the_server_with_its_files(store: Store, tmp_path: Path) -> None:
    server = tmp_path / "tensorflow_model_server"
    server.write_text('#!/bin/sh\nid -u\nprintf "%s\\n" "$@"\n')
    server.chmod(0o755)
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nCOPY tensorflow_model_server /usr/bin/\n")
    store.build(tmp_path, "localhost/tf-serving:test")
    base = "--build-arg=TF_SERVING_IMAGE=localhost/tf-serving:test"
    image = store.build(ROOT / "model", "localhost/sports-model:test", base)
    with store.container(image["Id"]) as container:
        inside = ("buildah", "run", "--isolation=chroot", container)
        user, *flags = store(*inside, *image["Config"]["Entrypoint"]).splitlines()
        assert user == "10001"
        given = dict(flag.removeprefix("--").split("=", 1) for flag in flags)
        assert given["port"] == "8500"
        files = [given["batching_parameters_file"], given["monitoring_config_file"]]
        text = store(*inside, "cat", *files)
        assert "num_batch_threads" in text
        assert "prometheus_config" in text
        models = f"cat {given['model_base_path']}/*/saved_model.pb | wc -c"
        assert int(store(*inside, "sh", "-c", models)) > MEGABYTE
