"""Prometheus' and Grafana's files."""

import json
import re
from pathlib import Path

import pytest
import yaml
from machine import ROOT, need, output

FOLDER = ROOT / "monitoring"
METRICS_MODULE = ROOT / "gateway/gateway/metrics.py"


def expressions() -> list[str]:
    dashboard = json.loads((FOLDER / "dashboards/gateway.json").read_text())
    alerts = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
    return [
        *(target["expr"] for panel in dashboard["panels"] for target in panel["targets"]),
        *(rule["expr"] for group in alerts["groups"] for rule in group["rules"]),
    ]


def metrics() -> set[str]:
    """The gateway's metrics that anything asks for, without what a histogram adds."""
    names = re.findall(r"\bgateway_\w+", " ".join(expressions()))
    return {name.removesuffix("_bucket") for name in names}


def test_promtool_takes_the_files() -> None:
    need("promtool")
    output("promtool", "check", "config", FOLDER / "prometheus.yaml")
    output("promtool", "check", "rules", FOLDER / "alerts.yaml")


def test_promtool_takes_the_dashboard(tmp_path: Path) -> None:
    need("promtool")
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "1m")}
        for number, expression in enumerate(expressions())
    ]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    output("promtool", "check", "rules", file)


def test_the_dashboard_shows_what_is_asked_at_three_in_the_morning() -> None:
    text = " ".join(expressions())
    for stage in ("fetch", "decode", "predict"):
        for quantile in ("0.5", "0.95", "0.99"):
            assert re.search(rf'quantile\({quantile},[^\n]*?stage="{stage}"', text)
    assert {
        "gateway_requests_total",
        "gateway_request_seconds",
        "gateway_stage_seconds",
        "gateway_in_flight",
        "gateway_refusals_total",
    } <= metrics()


def test_the_gateway_has_every_metric() -> None:
    if not METRICS_MODULE.exists():
        pytest.skip("the gateway has no metrics yet")
    source = METRICS_MODULE.read_text()
    assert {name for name in metrics() if name.removesuffix("_total") not in source} == set()


def test_services_are_scraped_where_they_listen() -> None:
    jobs = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())["scrape_configs"]
    model = (ROOT / "model/Dockerfile").read_text()
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs}
    assert targets == {"gateway": ["gateway:9696"], "model": ["model:8501"]}
    assert "TFS_REST_API_PORT=8501" in model
    assert jobs[1]["metrics_path"] in (ROOT / "model/monitoring.conf").read_text()
