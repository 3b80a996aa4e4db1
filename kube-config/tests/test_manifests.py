"""The rendered manifests."""

import re
import runpy
import shutil
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from machine import ROOT, kubectl, output
from manifests import NAMES, Manifests, quantity, rendered
from variables import (
    GATEWAY,
    OPENVINO_FLAGS,
    TF_SERVING_FLAGS,
    body_bytes,
    flags,
    labels,
    memory_bytes,
    threads,
)

from gateway.addresses import is_public

VERSIONS = ("1.33", "1.34", "1.35", "1.36", "1.37")  # of Kubernetes
DNS_TTL = 30  # seconds, in kubeadm's CoreDNS; 5 in that of EKS


@pytest.mark.parametrize("version", VERSIONS)
def test_objects_match_their_schemas(manifests: Manifests, version: str) -> None:
    assert len(manifests) == 14
    for item in manifests:
        kubernetes_validate.validate(item, version, strict=True)


def test_pods_meet_the_restricted_profile(manifests: Manifests, name: str) -> None:
    [namespace] = manifests.of("Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = manifests.pod(name)["spec"]
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert manifests.container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    user = f"{context['runAsUser']}:{context['runAsGroup']}"
    assert f"\nUSER {user}\n" in manifests.dockerfile(name)
    account = manifests.of("ServiceAccount")[pod["serviceAccountName"]]
    assert not pod["automountServiceAccountToken"]
    assert not account["automountServiceAccountToken"]


def test_probes_and_ports_are_those_of_the_image(manifests: Manifests, name: str) -> None:
    container, ports = manifests.container(name), manifests.ports(name)
    [exposed] = re.findall(r"^EXPOSE (.+)", manifests.dockerfile(name), re.MULTILINE)
    assert {str(port) for port in ports.values()} == set(exposed.split())
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        if "httpGet" in container[kind]:
            assert container[kind]["httpGet"]["port"] in ports
        else:
            assert container[kind]["grpc"]["port"] in ports.values()
            assert "TFS_ENABLE_GRPC_HEALTHCHECK_SERVICE=true" in manifests.dockerfile(name)


def test_the_gateway_is_alive_without_the_model_but_not_ready(manifests: Manifests) -> None:
    container = manifests.container("gateway")
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["startupProbe"]["httpGet"]["path"] == "/healthz"


def test_openvino_listens_on_the_ports_and_serves_the_model_that_are_used() -> None:
    openvino = rendered("openvino")
    given = openvino.model_flags()
    ports = {name: str(port) for name, port in openvino.ports("model").items()}
    assert ports == {"grpc": given["port"], "metrics": given["rest_port"]}
    assert given["model_name"] == openvino.settings().model_name
    assert f" {given['model_name']} {given['model_path']}\n" in openvino.dockerfile("model")


def test_the_protocol_is_the_servers(manifests: Manifests) -> None:
    expected = "open-inference" if manifests is rendered("openvino") else "tf-serving"
    assert manifests.settings().model_protocol == expected


def test_labels_are_set_only_for_the_model_without_string_outputs(manifests: Manifests) -> None:
    expected = labels() if manifests is rendered("openvino") else ()
    assert manifests.settings().labels == expected


def test_services_and_selectors_match_the_pods(manifests: Manifests, name: str) -> None:
    pod_labels = manifests.pod(name)["metadata"]["labels"]
    service = manifests.of("Service")[f"sports-{name}-service"]["spec"]
    selectors = [
        service["selector"],
        manifests.spec("Deployment", name)["selector"]["matchLabels"],
        manifests.spec("PodDisruptionBudget", name)["selector"]["matchLabels"],
        manifests.spec("NetworkPolicy", name)["podSelector"]["matchLabels"],
        *(
            constraint["labelSelector"]["matchLabels"]
            for constraint in manifests.pod(name)["spec"]["topologySpreadConstraints"]
        ),
    ]
    for selector in selectors:
        assert selector.items() <= pod_labels.items()
    for port in service["ports"]:  # a headless service cannot map a port to another one
        assert manifests.ports(name)[port["targetPort"]] == port["port"]


def test_the_gateway_connects_to_the_headless_model_service(manifests: Manifests) -> None:
    model = manifests.of("Service")["sports-model-service"]["spec"]
    [port] = model["ports"]
    assert model["clusterIP"] == "None"
    assert manifests.settings().tf_serving_host == f"sports-model-service:{port['port']}"


def test_network_policies_allow_the_ports_that_are_used(manifests: Manifests) -> None:
    policies = {name: manifests.spec("NetworkPolicy", name) for name in NAMES}
    for name, policy in policies.items():
        allowed = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
        assert allowed == set(manifests.ports(name).values())
    _, model, sources = policies["gateway"]["egress"]
    assert [port["port"] for port in model["ports"]] == [manifests.ports("model")["grpc"]]
    assert tuple(port["port"] for port in sources["ports"]) == manifests.settings().allowed_ports
    assert "egress" not in policies["model"]
    assert manifests.of("NetworkPolicy")["default-deny"]["spec"]["podSelector"] == {}


def test_network_policies_block_the_addresses_that_the_gateway_refuses() -> None:
    *_, sources = rendered("eks").spec("NetworkPolicy", "gateway")["egress"]
    blocked = [IPv4Network(cidr) for cidr in sources["to"][0]["ipBlock"]["except"]]
    ends = {int(network[end]) for network in blocked for end in (0, -1)}
    around = {end + step for end in ends for step in (-1, 0, 1)} - {-1, 2**32}
    for number in {*around, *range(0, 2**32, 2**20)}:
        address = IPv4Address(number)
        assert is_public(address) != any(address in network for network in blocked), address


def test_environment_variables_and_flags_exist(manifests: Manifests) -> None:
    assert set(manifests.environment("gateway")) <= GATEWAY
    assert not manifests.settings().allow_private_sources
    known = OPENVINO_FLAGS if manifests is rendered("openvino") else TF_SERVING_FLAGS
    assert set(manifests.model_flags()) <= set(known)


def test_requests_are_within_limits_and_threads_equal_the_cpu_limit(manifests: Manifests) -> None:
    for name in NAMES:
        resources = manifests.container(name)["resources"]
        for kind in ("cpu", "memory"):
            assert quantity(resources["requests"][kind]) <= quantity(resources["limits"][kind])
    cpus = manifests.container("model")["resources"]["limits"]["cpu"]
    assert cpus.isdecimal()  # a fraction would be rounded up
    assert threads(manifests.model_flags()) == {cpus}


def test_the_largest_images_fit_into_memory(manifests: Manifests) -> None:
    environment = manifests.environment("gateway")
    limit = manifests.container("gateway")["resources"]["limits"]["memory"]
    [temporary] = manifests.pod("gateway")["spec"]["volumes"]
    assert memory_bytes(environment) <= quantity(limit)
    assert body_bytes(environment) < quantity(temporary["emptyDir"]["sizeLimit"])


def test_the_gateway_drains_within_its_grace_period(
    manifests: Manifests, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in manifests.environment("gateway").items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    gunicorn = runpy.run_path(str(ROOT / "gateway/gunicorn.conf.py"))
    pre_stop, grace = manifests.stop_times("gateway")
    assert gunicorn["graceful_timeout"] > manifests.settings().request_timeout
    assert grace > pre_stop + gunicorn["graceful_timeout"]


def test_the_load_balancer_keeps_addresses_and_leaves_a_node_before_its_gateway_stops() -> None:
    eks = rendered("eks")
    service = eks.of("Service")["sports-gateway-service"]
    assert service["spec"]["externalTrafficPolicy"] == "Local"
    prefix = "service.beta.kubernetes.io/aws-load-balancer-healthcheck-"
    interval, threshold = (
        int(service["metadata"]["annotations"][prefix + name])
        for name in ("interval", "unhealthy-threshold")
    )
    assert interval * threshold < eks.stop_times("gateway")[0]


def test_the_model_stops_after_its_last_request(manifests: Manifests) -> None:
    pre_stop, grace = manifests.stop_times("model")
    last_connection = DNS_TTL + manifests.connection_age() * 1.1
    assert last_connection + manifests.settings().request_timeout < pre_stop < grace
    assert manifests.pod("model")["spec"]["shareProcessNamespace"] is True


def test_the_patch_for_tls_in_the_readme_applies(tmp_path: Path) -> None:
    readme = (ROOT / "kube-config/README.md").read_text()
    [patch] = re.findall(r"```yaml\n(.+?)```", readme, re.DOTALL)
    for folder in ("base", "overlays/eks"):
        shutil.copytree(ROOT / "kube-config" / folder, tmp_path / folder)
    with (tmp_path / "overlays/eks/kustomization.yaml").open("a") as file:
        file.write(patch)
    text = output(kubectl(), "kustomize", tmp_path / "overlays/eks")
    service = Manifests(yaml.safe_load_all(text)).of("Service")["sports-gateway-service"]
    assert [port["port"] for port in service["spec"]["ports"]] == [443]
    assert len(service["metadata"]["annotations"]) == 5
    assert service["spec"]["loadBalancerSourceRanges"] == ["203.0.113.0/24"]


def test_kserve_runs_the_model_server_of_the_overlay() -> None:
    [service] = yaml.safe_load_all((ROOT / "kube-config/kserve.yaml").read_text())
    predictor = service["spec"]["predictor"]
    [container] = predictor["containers"]
    spec = {key: predictor[key] for key in ("containers", "securityContext", "volumes")}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "any"}, "spec": spec}
    kubernetes_validate.validate(pod, VERSIONS[-1], strict=True)
    openvino = rendered("openvino")
    selector = openvino.of("Service")["sports-model-service"]["spec"]["selector"]
    assert predictor["labels"] == selector
    own = openvino.container("model")
    for key in ("image", "resources", "securityContext", "volumeMounts"):
        assert container[key] == own[key]
    assert predictor["securityContext"] == openvino.pod("model")["spec"]["securityContext"]
    assert flags(container["args"]) == openvino.model_flags()
    http, grpc = container["ports"]
    assert {"metrics": http["containerPort"], "grpc": grpc["containerPort"]} == openvino.ports(
        "model"
    )
