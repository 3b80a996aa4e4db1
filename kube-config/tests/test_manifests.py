"""The rules that the rendered manifests keep."""

import ipaddress
import re
import runpy
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from machine import ROOT
from manifests import NAMES, OVERLAYS, Manifests, quantity, rendered, values
from variables import (
    GATEWAY,
    OPENVINO_FLAGS,
    TF_SERVING_FLAGS,
    bodies,
    flags,
    labels,
    memory_needed,
    threads,
)

from gateway.addresses import is_public
from gateway.config import Settings

VERSIONS = ("1.33", "1.37")
DNS_TTL = 30  # seconds, kubeadm's CoreDNS; EKS' has 5


@pytest.fixture(params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> Manifests:
    return rendered(request.param)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def environment(container: dict) -> dict[str, str]:
    return {
        entry["name"]: entry.get("value")
        or container["resources"]["limits"][
            entry["valueFrom"]["resourceFieldRef"]["resource"].removeprefix("limits.")
        ]
        for entry in container["env"]
    }


def model_flags(manifests: Manifests) -> dict[str, str]:
    """How the model server is started: by variables TFS_<FLAG>, or by words with $(VARIABLE)."""
    container = manifests.container("model")
    variables = environment(container)
    if "args" not in container:
        assert all(name.startswith("TFS_") for name in variables)
        return {name.removeprefix("TFS_").lower(): value for name, value in variables.items()}
    words = " ".join(container["args"])
    assert set(re.findall(r"\$\((\w+)\)", words)) == set(variables)
    return flags(
        re.sub(r"\$\((\w+)\)", lambda match: variables[match[1]], word)
        for word in container["args"]
    )


def settings(manifests: Manifests) -> Settings:
    return Settings.from_env(environment(manifests.container("gateway")))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_fits_its_schema(manifests: Manifests, version: str) -> None:
    assert len(manifests) == 14
    for item in manifests:
        kubernetes_validate.validate(item, version, strict=True)


def test_schemas_are_checked_strictly(manifests: Manifests) -> None:
    wrong = {**manifests.of("Service")["sports-gateway-service"], "spec": {"prots": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.33", strict=True)


def test_everything_is_in_the_namespace(manifests: Manifests) -> None:
    [namespace] = manifests.of("Namespace")
    assert {item["metadata"]["namespace"] for item in manifests if item["kind"] != "Namespace"} == {
        namespace
    }


def test_the_namespace_takes_restricted_pods_only(manifests: Manifests) -> None:
    labels = manifests.of("Namespace")["sports"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_pods_may_do_nothing(manifests: Manifests, name: str) -> None:
    pod, container = manifests.pod(name)["spec"], manifests.container(name)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    user = f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    assert f"\nUSER {user}\n" in manifests.dockerfile(name)


def test_pods_hold_no_token(manifests: Manifests, name: str) -> None:
    pod = manifests.pod(name)["spec"]
    account = manifests.of("ServiceAccount")[pod["serviceAccountName"]]
    assert pod["automountServiceAccountToken"] is False
    assert account["automountServiceAccountToken"] is False


def test_images_have_a_tag_of_their_own(manifests: Manifests, name: str) -> None:
    image = manifests.container(name)["image"]
    assert re.fullmatch(rf"sports-{name}:(?!latest)[\w.-]+", image)


def test_limits_and_requests(manifests: Manifests, name: str) -> None:
    resources = manifests.container(name)["resources"]
    for kind in ("cpu", "memory"):
        assert 0 < quantity(resources["requests"][kind]) <= quantity(resources["limits"][kind])


def test_probes_and_ports(manifests: Manifests, name: str) -> None:
    container = manifests.container(name)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    exposed = set(re.findall(r"\d+", re.search(r"EXPOSE (.+)", manifests.dockerfile(name))[1]))
    assert {str(port) for port in ports.values()} == exposed
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container[kind]
        asked = probe.get("httpGet", {}).get("port") or probe["grpc"]["port"]
        assert asked in ports or asked in ports.values()


def test_the_gateway_is_ready_when_the_model_is_and_lives_without_it(manifests: Manifests) -> None:
    container = manifests.container("gateway")
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["startupProbe"]["httpGet"]["path"] == "/healthz"


@pytest.mark.parametrize("overlay", ["kind", "eks"])
def test_the_grpc_probe_has_its_service(overlay: str) -> None:
    manifests = rendered(overlay)
    assert "grpc" in manifests.container("model")["readinessProbe"]
    assert "TFS_ENABLE_GRPC_HEALTHCHECK_SERVICE=true" in manifests.dockerfile("model")


def test_openvino_is_asked_over_http_whether_the_model_is_there() -> None:
    container = rendered("openvino").container("model")
    paths = {"startup": "ready", "readiness": "ready", "liveness": "live"}
    for kind, path in paths.items():
        assert container[f"{kind}Probe"]["httpGet"]["path"] == f"/v2/health/{path}"


def test_openvino_listens_where_it_is_asked_and_measured() -> None:
    openvino = rendered("openvino")
    given = model_flags(openvino)
    ports = {p["name"]: str(p["containerPort"]) for p in openvino.container("model")["ports"]}
    assert ports == {"grpc": given["port"], "metrics": given["rest_port"]}
    annotations = openvino.pod("model")["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == given["rest_port"]
    assert annotations["prometheus.io/path"] == "/metrics"
    assert given["metrics_enable"] == "true"


def test_openvino_serves_the_model_that_its_image_holds_and_the_gateway_asks_for() -> None:
    openvino = rendered("openvino")
    given, name = model_flags(openvino), settings(openvino).model_name
    assert given["model_name"] == name
    assert f" {name} {given['model_path']}\n" in openvino.dockerfile("model")


def test_only_the_model_without_words_has_its_labels_named(manifests: Manifests) -> None:
    named = labels() if manifests is rendered("openvino") else ()
    assert settings(manifests).labels == named


def test_services_lead_to_their_pods_by_port_name(manifests: Manifests, name: str) -> None:
    service = manifests.of("Service")[f"sports-{name}-service"]["spec"]
    labels = manifests.pod(name)["metadata"]["labels"]
    ports = {port["name"]: port["containerPort"] for port in manifests.container(name)["ports"]}
    assert service["selector"].items() <= labels.items()
    for port in service["ports"]:
        assert ports[port["targetPort"]] == port["port"]  # a headless service changes no port


def test_the_model_service_is_headless_and_the_gateway_dials_it(manifests: Manifests) -> None:
    services = manifests.of("Service")
    model = services["sports-model-service"]["spec"]
    assert model["clusterIP"] == "None"
    port = model["ports"][0]["port"]
    assert settings(manifests).tf_serving_host == f"sports-model-service:{port}"
    assert services["sports-gateway-service"]["spec"]["ports"][0]["port"] == 9696


def test_every_selector_finds_its_pods(manifests: Manifests, name: str) -> None:
    labels = manifests.pod(name)["metadata"]["labels"]
    selectors = [
        manifests.of("Deployment")[f"sports-{name}"]["spec"]["selector"],
        manifests.of("PodDisruptionBudget")[f"sports-{name}"]["spec"]["selector"],
        manifests.of("NetworkPolicy")[f"sports-{name}"]["spec"]["podSelector"],
        *(
            constraint["labelSelector"]
            for constraint in manifests.pod(name)["spec"]["topologySpreadConstraints"]
        ),
    ]
    for selector in selectors:
        assert selector["matchLabels"].items() <= labels.items()
    assert len(selectors) == 5


def test_autoscalers_alone_count_replicas(manifests: Manifests, name: str) -> None:
    scaler = manifests.of("HorizontalPodAutoscaler")[f"sports-{name}"]["spec"]
    deployment = manifests.of("Deployment")[f"sports-{name}"]
    assert "replicas" not in deployment["spec"]
    assert scaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert 1 <= scaler["minReplicas"] < scaler["maxReplicas"]


def test_two_of_each_at_least_on_eks(name: str) -> None:
    eks = rendered("eks")
    assert eks.of("HorizontalPodAutoscaler")[f"sports-{name}"]["spec"]["minReplicas"] >= 2
    assert eks.of("PodDisruptionBudget")[f"sports-{name}"]["spec"] == {
        "maxUnavailable": 1,
        "selector": {"matchLabels": {"app.kubernetes.io/name": f"sports-{name}"}},
    }


def test_an_update_takes_no_pod_away_before_the_next_is_ready(
    manifests: Manifests, name: str
) -> None:
    strategy = manifests.of("Deployment")[f"sports-{name}"]["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_each_environment_name_is_real(manifests: Manifests) -> None:
    assert set(environment(manifests.container("gateway"))) <= GATEWAY
    known = OPENVINO_FLAGS if manifests is rendered("openvino") else TF_SERVING_FLAGS
    assert set(model_flags(manifests)) <= set(known)


def test_the_gateway_would_start_with_its_environment(manifests: Manifests) -> None:
    assert settings(manifests).allow_private_sources is False


def test_threads_equal_the_cpu_limit(manifests: Manifests) -> None:
    container = manifests.container("model")
    limit = container["resources"]["limits"]["cpu"]
    assert re.fullmatch(r"[1-9]\d*", limit), "a fraction would be rounded up to a whole thread"
    assert threads(model_flags(manifests)) == {limit}
    workers = environment(manifests.container("gateway"))["WEB_CONCURRENCY"]
    assert workers == manifests.container("gateway")["resources"]["limits"]["cpu"]


def test_hostile_pictures_do_not_fill_the_memory(manifests: Manifests) -> None:
    container = manifests.container("gateway")
    limit = quantity(container["resources"]["limits"]["memory"])
    [temporary] = manifests.pod("gateway")["spec"]["volumes"]
    assert memory_needed(environment(container)) <= limit
    assert bodies(environment(container)) < quantity(temporary["emptyDir"]["sizeLimit"])


def times(manifests: Manifests, name: str) -> tuple[int, int]:
    """preStop and grace period, in seconds."""
    pod, container = manifests.pod(name)["spec"], manifests.container(name)
    return container["lifecycle"]["preStop"]["sleep"]["seconds"], pod[
        "terminationGracePeriodSeconds"
    ]


def test_the_gateway_drains_before_it_is_killed(
    manifests: Manifests, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in environment(manifests.container("gateway")).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    gunicorn = runpy.run_path(str(ROOT / "gateway/gunicorn.conf.py"))
    pre_stop, grace = times(manifests, "gateway")
    assert gunicorn["graceful_timeout"] > settings(manifests).request_timeout
    assert grace > pre_stop + gunicorn["graceful_timeout"]


def test_the_model_stops_when_no_gateway_knows_it(manifests: Manifests) -> None:
    pre_stop, grace = times(manifests, "model")
    assert (
        connection_age(manifests) * 1.1 + DNS_TTL + settings(manifests).request_timeout < pre_stop
    )
    assert pre_stop < grace <= pre_stop + 15
    assert manifests.pod("model")["spec"]["shareProcessNamespace"] is True


def connection_age(manifests: Manifests) -> float:
    """Seconds; gRPC adds or takes up to a tenth."""
    arguments = model_flags(manifests)["grpc_channel_arguments"]
    return int(re.fullmatch(r"grpc\.max_connection_age_ms=(\d+)", arguments).group(1)) / 1000


def edges(manifests: Manifests) -> set[tuple[str, str, int]]:
    """Each way that the NetworkPolicies let through: from, to, port."""
    found = set()
    for policy, item in manifests.of("NetworkPolicy").items():
        assert item["spec"]["policyTypes"] == ["Ingress", "Egress"]
        for rule in item["spec"].get("ingress", []):
            peers = [peer_name(peer) for peer in rule.get("from", [])] or ["anyone"]
            found |= {(peer, policy, port["port"]) for peer in peers for port in rule["ports"]}
        for rule in item["spec"].get("egress", []):
            peers = [peer_name(peer) for peer in rule["to"]]
            found |= {(policy, peer, port["port"]) for peer in peers for port in rule["ports"]}
    return found


def peer_name(peer: dict) -> str:
    labels = {
        **peer.get("namespaceSelector", {}).get("matchLabels", {}),
        **peer.get("podSelector", {}).get("matchLabels", {}),
    }
    return "+".join(labels.values()) or peer["ipBlock"]["cidr"]


def test_the_network_lets_through_exactly_what_is_needed(manifests: Manifests) -> None:
    nothing = manifests.of("NetworkPolicy")["nothing"]["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert edges(manifests) == {
        ("anyone", "sports-gateway", 9696),
        ("sports-gateway", "kube-system+kube-dns", 53),
        ("sports-gateway", "sports-model", 8500),
        *(("sports-gateway", "0.0.0.0/0", port) for port in settings(manifests).allowed_ports),
        ("sports-gateway", "sports-model", 8500),
        ("monitoring", "sports-model", 8501),
    }


def test_the_network_refuses_the_addresses_that_the_gateway_refuses(manifests: Manifests) -> None:
    blocks = [value for value in values(list(manifests)) if isinstance(value, dict)]
    [block] = [value["ipBlock"] for value in blocks if "ipBlock" in value]
    refused = [ipaddress.ip_network(cidr) for cidr in block["except"]]
    for network in refused:
        assert not is_public(network[0])
        assert not is_public(network[-1])
    for number in range(0, 2**32, 2**32 // 50_000):
        address = ipaddress.ip_address(number)
        assert is_public(address) == (not any(address in network for network in refused)), address
    for address in ("169.254.169.254", "168.63.129.16", "100.100.100.200", "10.96.0.1"):
        assert any(ipaddress.ip_address(address) in network for network in refused)


def test_the_load_balancer_is_eks_own() -> None:
    services = {overlay: rendered(overlay).of("Service") for overlay in OVERLAYS}
    assert services["eks"]["sports-gateway-service"]["spec"]["type"] == "LoadBalancer"
    assert "type" not in services["kind"]["sports-gateway-service"]["spec"]


def test_eks_nodes_keep_their_credentials_and_scale() -> None:
    config = yaml.safe_load((ROOT / "kube-config/eks-config.yaml").read_text())
    oldest, newest = VERSIONS
    assert oldest <= config["metadata"]["version"] <= newest
    assert config["iam"]["withOIDC"] is True
    addons = {addon["name"] for addon in config["addons"]}
    assert {"vpc-cni", "coredns", "kube-proxy", "metrics-server"} <= addons
    for group in config["managedNodeGroups"]:
        assert group["disablePodIMDS"]
        assert group["disableIMDSv1"]
        assert group["minSize"] < group["maxSize"]


def test_no_version_of_the_model_is_written_down() -> None:
    files = [*(ROOT / "kube-config").glob("**/*.yaml"), ROOT / "docker-compose.yaml"]
    for file in map(Path, files):
        assert not re.search(r"sport-classification-model/\d", file.read_text()), file
