"""What can be said of the Dockerfiles without building them."""

import os
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from machine import ROOT, output
from variables import MODEL

from gateway.config import Settings

OPENVINO = "kube-config/overlays/openvino"
FOLDERS = ["gateway", "model", "model/server", OPENVINO]


def dockerfile(folder: str) -> str:
    return (ROOT / folder / "Dockerfile").read_text()


@pytest.mark.parametrize("folder", FOLDERS)
def test_house_rules(folder: str) -> None:
    text = dockerfile(folder)
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.MULTILINE)
    for base in re.findall(r"^ARG \w+_IMAGE=(.+)$", text, re.MULTILINE):
        assert re.search(r":\d+\.\d+", base), f"{base} is not pinned"
    assert "HEALTHCHECK" in text
    assert re.search(r'^(CMD|ENTRYPOINT) \["', text, re.MULTILINE)
    for label in ("title", "description", "licenses", "revision"):
        assert f"org.opencontainers.image.{label}=" in text


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_image_holds_a_secret(folder: str) -> None:
    text = dockerfile(folder)
    assert not re.search(r"(?im)^(ARG|ENV).*(key|token|password|secret|credential)", text)
    assert not re.search(r"(?m)^(COPY|ADD) [^/]*(\.env|\.git|\.aws|\.ssh)", text)


@pytest.mark.parametrize(
    ("context", "folders"),
    [("gateway", ["gateway"]), ("model", ["model", OPENVINO]), ("model/server", ["model/server"])],
)
def test_everything_copied_is_let_through_and_nothing_else(
    context: str, folders: list[str]
) -> None:
    rules = (ROOT / context / ".dockerignore").read_text().splitlines()
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        name
        for folder in folders
        for names in re.findall(
            r"^COPY (?!--from)(?:--chown=\S+ )?(.+) \S+$", dockerfile(folder), re.MULTILINE
        )
        for name in names.split()
    }
    assert "*" in rules
    assert copied == allowed


@pytest.mark.parametrize("folder", ["gateway", "model/server"])
def test_python_packages_are_locked_by_hash(folder: str) -> None:
    assert "--require-hashes" in dockerfile(folder)
    assert "--only-binary :all:" in dockerfile(folder)


def test_the_gateway_image_has_no_tensorflow() -> None:
    assert "tensorflow" not in (ROOT / "gateway/requirements.lock").read_text()


def test_each_variable_of_the_model_image_is_a_flag_of_tf_serving() -> None:
    names = set(re.findall(r"\b(TFS_\w+)=", dockerfile("model")))
    assert len(names) >= 8
    assert names <= MODEL


def test_the_model_image_serves_the_model_that_the_gateway_asks_for() -> None:
    name = Settings().model_name
    assert f"TFS_MODEL_NAME={name} " in dockerfile("model")
    assert f"TFS_MODEL_BASE_PATH=/models/{name} " in dockerfile("model")
    versions = list((ROOT / "model" / name).glob("*/saved_model.pb"))
    assert versions
    assert all(version.parent.name.isdecimal() for version in versions)


def test_the_version_that_openvino_serves_has_its_format() -> None:
    folder = max((ROOT / "model" / Settings().model_name).iterdir(), key=lambda f: int(f.name))
    root = ElementTree.parse(folder / "model.xml").getroot()
    ports = {
        layer.get("name"): layer.get("type")
        for layer in root.iter("layer")
        if layer.get("type") in ("Parameter", "Result")
    }
    assert ports == {"images": "Parameter", "probabilities": "Result", "in_domain": "Result"}
    assert (folder / "model.bin").stat().st_size > 1_000_000
    written = root.find("rt_info/info[@name='OpenVINO Runtime']").get("value").split("-")[0]
    reads = re.search(r"^ARG OPENVINO_IMAGE=.+:([\d.]+)$", dockerfile(OPENVINO), re.MULTILINE)[1]
    assert numbers(written) <= numbers(reads)


def numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


def serve(folder: Path, **environ: str) -> tuple[bool, list[str]]:
    """Whether the server has taken the shell's place, and the flags that it was given."""
    server = folder / "tensorflow_model_server"
    server.write_text('#!/bin/sh\necho $$\nprintf "%s\\n" "$@"\n')
    server.chmod(0o755)
    environ = {"PATH": f"{folder}:{os.environ['PATH']}", **environ}
    command = f"echo $$; exec {ROOT / 'model/serve.sh'} --version"
    shell, process, *given = output("sh", "-c", command, env=environ, cwd=folder).splitlines()
    return shell == process, given


def test_serve_makes_flags_of_variables_and_leaves_no_shell_behind(tmp_path: Path) -> None:
    replaced, given = serve(
        tmp_path,
        TFS_MIXED_PRECISION="",
        TFS_PORT="8500",
        TFS_MODEL_NAME="$(touch pwned) `x` two words",
        OTHER_PORT="1",
    )
    assert given == [
        "--mixed_precision=",
        "--model_name=$(touch pwned) `x` two words",
        "--port=8500",
        "--version",
    ]
    assert replaced
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("processor", "given"),
    [
        ("fma avx2 avx512f avx512_bf16", ["--mixed_precision=bfloat16", "--version"]),
        ("fma avx2 avx512f", ["--version"]),
    ],
)
def test_serve_takes_bfloat16_where_the_processor_has_it(
    tmp_path: Path, processor: str, given: list[str]
) -> None:
    grep = tmp_path / "grep"  # as if /proc/cpuinfo said so
    grep.write_text(f'#!/bin/sh\necho "flags : {processor}" | /bin/grep "$1" "$2"\n')
    grep.chmod(0o755)
    assert serve(tmp_path) == (True, given)
