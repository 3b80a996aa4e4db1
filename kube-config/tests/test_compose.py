"""docker-compose.yaml, as docker-compose itself understands it."""

import functools
import re
from collections.abc import Callable

import pytest
import yaml
from machine import ROOT, need, output
from variables import GATEWAY, MODEL, OPENVINO_FLAGS, flags, labels, memory_needed, threads

PROFILES = {
    "": {"gateway", "model"},  # what .env says
    "serving": {"gateway", "model"},
    "embedded": {"gateway-embedded", "model-embedded"},
    "openvino": {"gateway-openvino", "model-openvino"},
    "monitoring": {"prometheus", "grafana"},
}


@functools.cache
def compose(profile: str = "") -> dict[str, dict]:
    need("docker-compose")
    flags = [f"--profile={profile}"] if profile else []
    return yaml.safe_load(output("docker-compose", *flags, "config", cwd=ROOT))["services"]


@pytest.fixture(scope="module")
def services() -> dict[str, dict]:
    return compose()


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_starts_what_it_should(profile: str) -> None:
    active = profile or (ROOT / ".env").read_text().split("COMPOSE_PROFILES=")[1].strip()
    started = {name for name, service in compose(profile).items() if active in service["profiles"]}
    assert started == PROFILES[profile]


@pytest.mark.parametrize("suffix", ["", "-embedded", "-openvino"])
def test_the_gateway_waits_for_a_healthy_model(services: dict, suffix: str) -> None:
    gateway, model = f"gateway{suffix}", f"model{suffix}"
    assert services[gateway]["depends_on"] == {model: {"condition": "service_healthy"}}
    assert services[gateway]["environment"]["TF_SERVING_HOST"] == f"{model}:8500"
    assert "healthcheck" in services[model] or "HEALTHCHECK" in dockerfile(services[model])


def dockerfile(service: dict) -> str:
    build = service["build"]
    folder = build if isinstance(build, str) else build["context"]
    return (ROOT / folder / "Dockerfile").read_text()


def test_each_environment_name_is_real(services: dict) -> None:
    for name in ("gateway", "gateway-embedded", "gateway-openvino"):
        assert set(services[name]["environment"]) <= GATEWAY
    assert set(services["model"]["environment"]) <= MODEL


def test_each_flag_of_the_embedded_server_is_real(services: dict) -> None:
    main = (ROOT / "model/server/model_server/__main__.py").read_text()
    for argument in services["model-embedded"]["command"]:
        assert f'add("{argument.split("=")[0]}"' in main


def test_each_flag_of_openvino_is_real_and_its_ports_are_those_asked(services: dict) -> None:
    openvino = services["model-openvino"]
    given = flags(openvino["command"])
    assert set(given) <= set(OPENVINO_FLAGS)
    assert given["port"] == "8500"
    assert openvino["healthcheck"]["test"][-1].endswith(f":{given['rest_port']}/v2/health/ready")


def test_only_the_model_without_words_has_its_labels_named(services: dict) -> None:
    named = {
        name: service["environment"]["GATEWAY_LABELS"]
        for name, service in services.items()
        if "GATEWAY_LABELS" in service.get("environment", {})
    }
    assert named == {"gateway-openvino": ",".join(labels())}


def test_openvino_is_of_the_version_of_its_image_in_the_cluster(services: dict) -> None:
    dockerfile = (ROOT / "kube-config/overlays/openvino/Dockerfile").read_text()
    assert f"ARG OPENVINO_IMAGE={services['model-openvino']['image']}\n" in dockerfile


def test_threads_equal_the_cpu_limit(services: dict) -> None:
    model = services["model"]
    assert model["environment"]["TFS_TENSORFLOW_INTRA_OP_PARALLELISM"] == str(int(model["cpus"]))
    assert (
        f"--tensorflow_intra_op_parallelism={int(services['model-embedded']['cpus'])}"
        in (services["model-embedded"]["command"])
    )
    openvino = services["model-openvino"]
    assert threads(flags(openvino["command"])) == {str(int(openvino["cpus"]))}


def test_hostile_pictures_do_not_fill_the_memory(services: dict) -> None:
    gateway = services["gateway"]
    assert memory_needed(gateway["environment"]) <= int(gateway["mem_limit"].rstrip("g")) * 2**30


def test_only_the_gateway_listens_beyond_this_machine(services: dict) -> None:
    for name, service in services.items():
        for port in service.get("ports", []):
            text = port if isinstance(port, str) else f"{port['published']}:{port['target']}"
            assert text.startswith("127.0.0.1:") or (name.startswith("gateway"), text) == (
                True,
                "9696:9696",
            )


HARDENED: dict[str, Callable[[dict], bool]] = {
    "an init": lambda service: service["init"],
    "a read-only root": lambda service: service["read_only"],
    "no capability": lambda service: service["cap_drop"] == ["ALL"],
    "no new privileges": lambda service: "no-new-privileges:true" in service["security_opt"],
    "a memory limit": lambda service: bool(service["mem_limit"]),
    "a processor limit": lambda service: float(service["cpus"]) > 0,
    "a limit of processes": lambda service: service["pids_limit"] > 0,
    "a pinned image": lambda service: bool(re.search(r":(local|v?\d[\d.]+)$", service["image"])),
}


@pytest.mark.parametrize("rule", HARDENED)
def test_every_service_has(services: dict, rule: str) -> None:
    assert {name for name, service in services.items() if not HARDENED[rule](service)} == set()


def test_mounted_files_exist(services: dict) -> None:
    mounted = [
        volume.split(":")[0] if isinstance(volume, str) else volume["source"]
        for service in services.values()
        for volume in service.get("volumes", [])
    ]
    files = [ROOT / path for path in mounted if "/" in path]
    assert len(files) == 6
    assert [file for file in files if not file.exists()] == []
