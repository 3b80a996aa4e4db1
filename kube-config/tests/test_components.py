"""The optional components, for clusters with Prometheus Operator and KEDA."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from machine import ROOT, need, output
from manifests import NAMES, Manifests, rendered
from scripts import EKS, FakeMachine

from gateway.metrics import Metrics

FOLDER = ROOT / "kube-config/components"
COMPONENTS = "monitoring autoscaling"


@pytest.fixture(scope="module")
def objects() -> Manifests:
    files = sorted(FOLDER.glob("*/*.yaml"))
    documents = [item for file in files for item in yaml.safe_load_all(file.read_text())]
    return Manifests(item for item in documents if item["kind"] != "Component")


def queries(objects: Manifests) -> dict[str, tuple[str, float]]:
    """The Prometheus query of each ScaledObject, and how much of it one pod should get."""
    found = {}
    for name in NAMES:
        _, trigger = objects.spec("ScaledObject", name)["triggers"]
        metadata = trigger["metadata"]
        found[name] = metadata["query"], float(metadata["threshold"])
    return found


def test_objects_match_their_schemas(objects: Manifests) -> None:
    schemas = yaml.safe_load(Path(__file__).with_name("custom_resources.yaml").read_text())
    assert len(objects) == 5
    for item in objects:
        schema = {"$defs": schemas["$defs"], **schemas[item["kind"]]}
        jsonschema.Draft202012Validator(schema).validate(item["spec"])
        assert item["metadata"]["namespace"] == "sports"


def test_the_script_deploys_components(machine: FakeMachine) -> None:
    machine.succeed(EKS)
    plain = {(item["kind"], item["metadata"]["name"]) for item in machine.applied()}
    machine.succeed(EKS, COMPONENTS=COMPONENTS)
    applied = machine.applied()
    assert plain - {(item["kind"], item["metadata"]["name"]) for item in applied} == {
        ("HorizontalPodAutoscaler", f"sports-{name}") for name in NAMES
    }
    assert len(applied.of("ScaledObject")) == len(applied.of("PodMonitor")) == 2


def test_rules_are_those_of_docker_compose(objects: Manifests) -> None:
    alerts = yaml.safe_load((ROOT / "monitoring/alerts.yaml").read_text())
    assert objects.of("PrometheusRule")["sports"]["spec"] == alerts


@pytest.mark.parametrize("name", NAMES)
def test_pods_are_scraped_where_their_annotations_say(objects: Manifests, name: str) -> None:
    eks = rendered("eks")
    spec = objects.spec("PodMonitor", name)
    [endpoint] = spec["podMetricsEndpoints"]
    pod = eks.pod(name)["metadata"]
    assert spec["selector"]["matchLabels"].items() <= pod["labels"].items()
    assert eks.ports(name)[endpoint["port"]] == int(pod["annotations"]["prometheus.io/port"])
    assert endpoint.get("path") == pod["annotations"].get("prometheus.io/path")
    assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": name}]


@pytest.mark.parametrize("name", NAMES)
def test_keda_scales_within_the_limits_of_the_autoscaler_that_it_replaces(
    objects: Manifests, name: str
) -> None:
    replaced = rendered("eks").spec("HorizontalPodAutoscaler", name)
    spec = objects.spec("ScaledObject", name)
    assert spec["scaleTargetRef"]["name"] == replaced["scaleTargetRef"]["name"]
    limits = spec["minReplicaCount"], spec["maxReplicaCount"]
    assert limits == (replaced["minReplicas"], replaced["maxReplicas"])
    processor, requests = spec["triggers"]
    target = replaced["metrics"][0]["resource"]["target"]
    assert processor["type"] == replaced["metrics"][0]["resource"]["name"]
    assert processor["metricType"] == target["type"]
    assert processor["metadata"]["value"] == str(target["averageUtilization"])
    assert (requests["type"], requests["metricType"]) == ("prometheus", "AverageValue")
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["name"] == f"sports-{name}"


def test_queries_are_of_metrics_that_the_gateway_has(objects: Manifests) -> None:
    has = set(re.findall(r"^# TYPE (\w+)", Metrics().text().decode(), re.MULTILINE))
    for query, _ in queries(objects).values():
        [metric] = re.findall(r"\bgateway_\w+", query)
        assert metric.removesuffix("_sum") in has


def test_pods_are_added_for_the_requests_in_flight(objects: Manifests, tmp_path: Path) -> None:
    """Requests of 96 s, and predictions of 16 s, in each second: as many are in flight."""
    need("promtool")
    series = {
        'gateway_request_seconds_sum{endpoint="predict",pod="a"}': 64,
        'gateway_request_seconds_sum{endpoint="predictions",pod="b"}': 32,
        'gateway_request_seconds_sum{endpoint="readyz",pod="b"}': 99,
        'gateway_stage_seconds_sum{stage="predict",outcome="ok",pod="a"}': 12,
        'gateway_stage_seconds_sum{stage="predict",outcome="error",pod="b"}': 4,
        'gateway_stage_seconds_sum{stage="fetch",outcome="ok",pod="b"}': 99,
    }
    asked, pods = queries(objects), {"gateway": 6, "model": 4}
    expected = [
        {"expr": f"{query} / {share}", "eval_time": "10m", "exp_samples": sample(pods[name])}
        for name, (query, share) in asked.items()
    ]
    case = {
        "interval": "1m",
        "input_series": [
            {"series": name, "values": f"0+{60 * seconds}x10"} for name, seconds in series.items()
        ],
        "promql_expr_test": expected,
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"tests": [case]}))
    output("promtool", "test", "rules", tmp_path / "test.yaml")


def sample(value: float) -> list[dict[str, Any]]:
    return [{"labels": "{}", "value": value}]
