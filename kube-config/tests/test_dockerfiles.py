"""What can be tested of the Dockerfiles without a build."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from machine import ROOT, output
from variables import MODEL

from gateway.config import Settings

OPENVINO = "kube-config/overlays/openvino"
NAME = Settings().model_name


def dockerfile(folder: str) -> str:
    return (ROOT / folder / "Dockerfile").read_text()


@pytest.mark.parametrize(
    ("context", "folders"),
    [("gateway", ["gateway"]), ("model", ["model", OPENVINO]), (".", ["model/server"])],
)
def test_the_build_context_is_exactly_what_is_copied(context: str, folders: list[str]) -> None:
    own = ROOT / folders[0] / "Dockerfile.dockerignore"
    rules = (own if own.exists() else ROOT / context / ".dockerignore").read_text().splitlines()
    copy = re.compile(r"^COPY (?!--from)(?:--chown=\S+ )?(.+) \S+$", re.MULTILINE)
    copied = {
        name
        for folder in folders
        for names in copy.findall(dockerfile(folder))
        for name in names.split()
    }
    assert "*" in rules
    assert copied == {rule[1:] for rule in rules if rule.startswith("!")}


def test_variables_of_the_model_image_are_flags_of_tf_serving() -> None:
    assert set(re.findall(r"\b(TFS_\w+)=", dockerfile("model"))) <= MODEL


def test_the_model_image_serves_the_model_of_the_gateway() -> None:
    assert f"TFS_MODEL_NAME={NAME} " in dockerfile("model")
    assert f"TFS_MODEL_BASE_PATH=/models/{NAME} " in dockerfile("model")
    assert list((ROOT / "model" / NAME).glob("[0-9]*/saved_model.pb"))


def test_the_openvino_copy_of_the_model_can_be_read_by_its_server() -> None:
    folder = max((ROOT / "model" / NAME).iterdir(), key=lambda version: int(version.name))
    root = ElementTree.parse(folder / "model.xml").getroot()
    layers = {layer.get("name"): layer.get("type") for layer in root.iter("layer")}
    assert {name for name, kind in layers.items() if kind == "Parameter"} == {"images"}
    results = {name for name, kind in layers.items() if kind == "Result"}
    assert results == {"probabilities", "in_domain", "heatmaps"}
    assert (folder / "model.bin").stat().st_size > 1_000_000
    info = root.find("rt_info/info[@name='OpenVINO Runtime']")
    assert info is not None
    written = info.attrib["value"].split("-")[0]
    [reads] = re.findall(r"^ARG OPENVINO_IMAGE=[^:]+:([\d.]+)", dockerfile(OPENVINO), re.MULTILINE)
    assert numbers(written) <= numbers(reads)


def numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


def serve(folder: Path, **environ: str) -> list[str]:
    """The flags that serve.sh gives the server, which replaces the shell."""
    server = folder / "tensorflow_model_server"
    server.write_text('#!/bin/sh\necho $$\nprintf "%s\\n" "$@"\n')
    server.chmod(0o755)
    environ = {"PATH": f"{folder}:{os.environ['PATH']}", **environ}
    command = f"echo $$; exec {ROOT / 'model/serve.sh'} --version"
    shell, process, *given = output("sh", "-c", command, env=environ, cwd=folder).splitlines()
    assert shell == process
    return given


def test_serve_makes_flags_of_variables(tmp_path: Path) -> None:
    name = "$(touch file) `x` two words"
    given = serve(
        tmp_path, TFS_MIXED_PRECISION="", TFS_PORT="8500", TFS_MODEL_NAME=name, OTHER_PORT="1"
    )
    assert given == ["--mixed_precision=", f"--model_name={name}", "--port=8500", "--version"]
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_serve_uses_bfloat16_if_the_processor_has_it(tmp_path: Path, has_bfloat16: bool) -> None:
    grep = tmp_path / "grep"  # replaces the content of /proc/cpuinfo
    processor = "fma avx512f avx512_bf16" if has_bfloat16 else "fma avx512f"
    grep.write_text(f'#!/bin/sh\necho "flags : {processor}" | /bin/grep "$1" "$2"\n')
    grep.chmod(0o755)
    flags = ["--mixed_precision=bfloat16"] if has_bfloat16 else []
    assert serve(tmp_path) == [*flags, "--version"]


def test_the_health_check_of_the_embedded_server() -> None:
    script, statuses = ROOT / "model/server/healthy.py", health_pb2.HealthCheckResponse
    servicer = health.HealthServicer()
    server = grpc.server(ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    host = f"localhost:{server.add_insecure_port('localhost:0')}"
    server.start()
    try:
        for status, expected in ((statuses.SERVING, 0), (statuses.NOT_SERVING, 1)):
            servicer.set("", status)
            assert subprocess.run([sys.executable, script, host]).returncode == expected
    finally:
        server.stop(None).wait()
    stopped = subprocess.run([sys.executable, script, host], capture_output=True)
    assert stopped.returncode == 1
    assert b"UNAVAILABLE" in stopped.stderr
