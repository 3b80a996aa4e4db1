"""The files for Prometheus and Grafana."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster import Cluster
from machine import ROOT, need, output

from gateway.metrics import Metrics

FOLDER = ROOT / "monitoring"
GROUPS = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
RULES = {group["name"]: group["rules"] for group in GROUPS}
ALERTS = RULES["gateway"]
PREDICT = 'gateway_stage_seconds_bucket{{stage="predict",outcome="{outcome}",le="{le}"}}'
ANSWERED = 'gateway_requests_total{{endpoint="{endpoint}",status="{status}"}}'
IN_DOMAIN = "gateway_in_domain_{}{{{}}}"
GOOD = {
    'up{job="gateway"}': "1+0x30",
    ANSWERED.format(endpoint="predict", status=200): "0+600x30",
    ANSWERED.format(endpoint="none", status=429): "0+6x30",  # a refusal now and then
    ANSWERED.format(endpoint="healthz", status=200): "0+6000x30",
    ANSWERED.format(endpoint="readyz", status=503): "0+6000x30",
    IN_DOMAIN.format("bucket", 'le="0.5"'): "0+30x30",
    IN_DOMAIN.format("count", ""): "0+600x30",
    **{PREDICT.format(outcome="ok", le=le): "0+600x30" for le in ("0.1", "20", "+Inf")},
}
# For each alert, the series that differ from GOOD, a value a minute.
CASES: dict[str, dict[str, str]] = {
    "none": {},
    "ServiceUnreachable": {'up{job="gateway"}': "0+0x30"},
    "GatewayMissing": {'up{job="gateway"}': "1+0x5"},
    "GatewayErrors": {ANSWERED.format(endpoint="predict", status=502): "0+60x30"},
    "GatewayFull": {ANSWERED.format(endpoint="none", status=429): "0+60x30"},
    "ModelUnavailable": {'gateway_refusals_total{reason="model-unavailable"}': "0+60x30"},
    "UnknownImages": {  # 500 images, and then none
        IN_DOMAIN.format("bucket", 'le="0.5"'): "0 167+0x29",
        IN_DOMAIN.format("count", ""): "0 500+0x29",
    },
    "GatewaySlow": {  # a hung model: predictions fail at their deadline
        PREDICT.format(outcome="error", le=le): f"0+{count}x30"
        for le, count in {"0.1": 0, "20": 60, "+Inf": 60}.items()
    },
}


def expressions() -> list[str]:
    dashboard = json.loads((FOLDER / "dashboards/gateway.json").read_text())
    return [
        *(target["expr"] for panel in dashboard["panels"] for target in panel["targets"]),
        *(alert["expr"] for alert in ALERTS),
    ]


def test_promtool_accepts_the_files(tmp_path: Path) -> None:
    need("promtool")
    rules = [
        {"record": "panel", "expr": expression.replace("$__rate_interval", "1m")}
        for expression in expressions()
    ]
    (tmp_path / "panels.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": f"{n}", "rules": [r]} for n, r in enumerate(rules)]})
    )
    output("promtool", "check", "config", FOLDER / "prometheus.yaml")
    output("promtool", "check", "rules", tmp_path / "panels.yaml")


@pytest.mark.parametrize("firing", ["none", *(alert["alert"] for alert in ALERTS)])
def test_each_alert_fires_in_its_case_only(firing: str, tmp_path: Path) -> None:
    need("promtool")
    series = {**GOOD, **CASES[firing]}
    case: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": text} for name, text in series.items()],
        "alert_rule_test": [expected(alert, alert["alert"] == firing) for alert in ALERTS],
    }
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(FOLDER / "alerts.yaml")], "tests": [case]}))
    output("promtool", "test", "rules", file)


def expected(alert: dict[str, Any], fires: bool) -> dict[str, Any]:
    gateway = {"job": "gateway"}
    own = {
        "ServiceUnreachable": gateway,
        "GatewayMissing": gateway,
        "GatewaySlow": {"stage": "predict"},
    }
    annotations = dict(alert["annotations"])
    annotations["summary"] = annotations["summary"].replace("{{ $labels.job }}", "gateway")
    labels = {**own.get(alert["alert"], {}), **alert["labels"]}
    firing = [{"exp_labels": labels, "exp_annotations": annotations}] if fires else []
    return {"eval_time": "25m", "alertname": alert["alert"], "exp_alerts": firing}


@pytest.mark.parametrize(
    "alert",
    [rule for rules in RULES.values() for rule in rules if "alert" in rule],
    ids=lambda alert: str(alert["alert"]),
)
def test_each_alert_says_how_urgent_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("page", "ticket")
    path, _, section = alert["annotations"]["runbook"].partition("#")
    text = (ROOT / path).read_text()
    assert f"\n## {section.capitalize()}\n" in text
    assert f"| `{alert['alert']}` |" in text


def test_the_gateway_has_every_metric() -> None:
    used = set(re.findall(r"\bgateway_\w+", " ".join(expressions())))
    has = set(re.findall(r"^# TYPE (\w+)", Metrics().text().decode(), re.MULTILINE))
    assert {re.sub("_(bucket|count|sum)$", "", name) for name in used} <= has


def test_each_model_server_is_scraped_at_its_path_if_it_is_there() -> None:
    jobs = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())["scrape_configs"]
    services = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]
    models = {job["job_name"]: job for job in jobs if job["job_name"] != "gateway"}
    for name, job in models.items():
        [lookup] = job["dns_sd_configs"]  # no target, and no alert, while the name is unknown
        assert (lookup["names"], lookup["port"]) == ([name], 8501)
        assert name in services
    assert "TFS_REST_API_PORT=8501" in (ROOT / "model/Dockerfile").read_text()
    assert models["model"]["metrics_path"] in (ROOT / "model/monitoring.conf").read_text()
    assert {"--rest_port=8501", "--metrics_enable"} <= set(services["model-openvino"]["command"])


@pytest.mark.parametrize("started", ["model", "model-embedded", "model-openvino"])
def test_only_the_started_model_server_is_a_target(cluster: Cluster, started: str) -> None:
    """So that ServiceUnreachable is quiet with each profile."""
    need("promtool")
    pod = cluster.pod(11)
    cluster.resolve_to(pod, name=started)
    for job in ("model", "model-openvino"):
        command = f"promtool check service-discovery --timeout=500ms {FOLDER}/prometheus.yaml {job}"
        found = json.loads(output("ip", "netns", "exec", pod.name, *command.split()))
        addresses = [target["labels"]["__address__"] for target in found]
        assert addresses == ([f"{pod.address}:8501"] if job == started else [])


def test_alerts_are_sent_to_the_alertmanager() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    [manager] = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    services = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]
    assert manager.split(":")[0] in services
    routing = yaml.safe_load((FOLDER / "alertmanager.yaml").read_text())
    assert routing["route"]["receiver"] in {receiver["name"] for receiver in routing["receivers"]}
