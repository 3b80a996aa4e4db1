"""docker-compose.yaml, as docker-compose reads it."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from machine import ROOT, need, output
from variables import GATEWAY, MODEL, OPENVINO_FLAGS, flags, labels, memory_bytes, threads

PROFILES = {
    "serving": {"gateway", "model"},
    "embedded": {"gateway-embedded", "model-embedded"},
    "openvino": {"gateway-openvino", "model-openvino"},
    "monitoring": {"alertmanager", "grafana", "prometheus"},
}
Services = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def services() -> Services:
    need("docker-compose")
    profiles = [f"--profile={profile}" for profile in PROFILES]
    config = yaml.safe_load(output("docker-compose", *profiles, "config", cwd=ROOT))
    return dict(config["services"])


def dockerfile(service: dict[str, Any]) -> str:
    build = service["build"]
    if isinstance(build, str):
        return (ROOT / build / "Dockerfile").read_text()
    path: Path = ROOT / build["context"] / build.get("dockerfile", "Dockerfile")
    return path.read_text()


def test_it_matches_the_schema_of_the_compose_specification() -> None:
    check = Path(sys.executable).with_name("check-jsonschema")
    output(check, "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yaml")


def test_each_profile_starts_its_services(services: Services) -> None:
    for profile, expected in PROFILES.items():
        assert {name for name in services if profile in services[name]["profiles"]} == expected
    assert "COMPOSE_PROFILES=serving\n" in (ROOT / ".env").read_text()


@pytest.mark.parametrize("suffix", ["", "-embedded", "-openvino"])
def test_the_gateway_waits_for_a_healthy_model(services: Services, suffix: str) -> None:
    gateway, model = services[f"gateway{suffix}"], services[f"model{suffix}"]
    assert gateway["depends_on"] == {f"model{suffix}": {"condition": "service_healthy"}}
    assert gateway["environment"]["TF_SERVING_HOST"] == f"model{suffix}:8500"
    assert "healthcheck" in model or "HEALTHCHECK" in dockerfile(model)


def test_environment_variables_and_flags_exist(services: Services) -> None:
    for name in PROFILES["serving"] | PROFILES["embedded"] | PROFILES["openvino"]:
        known = GATEWAY if name.startswith("gateway") else MODEL
        assert set(services[name].get("environment", {})) <= known
    main = (ROOT / "model/server/model_server/__main__.py").read_text()
    for flag in flags(services["model-embedded"]["command"]):
        assert f'"--{flag}"' in main
    assert set(flags(services["model-openvino"]["command"])) <= set(OPENVINO_FLAGS)


def test_openvino_is_checked_at_its_port_and_of_one_version(services: Services) -> None:
    openvino = services["model-openvino"]
    given = flags(openvino["command"])
    assert given["port"] == "8500"
    ready = f":{given['rest_port']}/v2/models/{given['model_name']}/ready"
    assert openvino["healthcheck"]["test"][-1].endswith(ready)
    text = (ROOT / "kube-config/overlays/openvino/Dockerfile").read_text()
    assert f"ARG OPENVINO_IMAGE={openvino['image']}\n" in text


def test_the_protocol_is_the_servers(services: Services) -> None:
    assert services["gateway-openvino"]["environment"]["MODEL_PROTOCOL"] == "open-inference"
    assert "MODEL_PROTOCOL" not in services["gateway"]["environment"]


def test_labels_are_those_of_the_model(services: Services) -> None:
    environment = services["gateway-openvino"]["environment"]
    assert environment["GATEWAY_LABELS"] == ",".join(labels())


def test_threads_equal_the_cpu_limit(services: Services) -> None:
    environment = services["model"]["environment"]
    given = {
        "model": {name.removeprefix("TFS_").lower(): text for name, text in environment.items()},
        "model-embedded": flags(services["model-embedded"]["command"]),
        "model-openvino": flags(services["model-openvino"]["command"]),
    }
    for name, values in given.items():
        assert threads(values) == {str(int(services[name]["cpus"]))}


def test_the_largest_images_fit_into_memory(services: Services) -> None:
    gateway = services["gateway"]
    assert memory_bytes(gateway["environment"]) <= int(gateway["mem_limit"].rstrip("g")) * 2**30


def test_only_the_gateway_listens_beyond_this_machine(services: Services) -> None:
    for name, service in services.items():
        for port in service.get("ports", []):
            local = port if isinstance(port, str) else f"{port['published']}:{port['target']}"
            assert local.startswith("127.0.0.1:") or name.startswith("gateway")


def test_every_service_is_restricted(services: Services) -> None:
    for name, service in services.items():
        assert all(service[key] for key in ("init", "read_only", "pids_limit", "cpus", "mem_limit"))
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["cap_drop"] == ["ALL"], name


def test_mounted_files_exist(services: Services) -> None:
    mounted = [
        volume.split(":")[0] if isinstance(volume, str) else volume["source"]
        for service in services.values()
        for volume in service.get("volumes", [])
    ]
    files = [ROOT / path for path in mounted if "/" in path]
    assert len(files) == 7
    assert [file for file in files if not file.exists()] == []
