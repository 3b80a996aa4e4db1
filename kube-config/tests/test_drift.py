"""The alerts that compare the images with others over days."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from machine import ROOT, need, output

from gateway.config import Settings

GROUPS = yaml.safe_load((ROOT / "monitoring/alerts.yaml").read_text())["groups"]
RULES = {group["name"]: group["rules"] for group in GROUPS}
BOUNDS = ("0.6", "0.9", "0.99", "1.0")  # of the label's probability


def served_version() -> Path:
    versions = (ROOT / "model" / Settings().model_name).glob("*/saved_model.pb")
    return max((file.parent for file in versions), key=lambda version: int(version.name))


def held_out_shares() -> list[float]:
    """Of the served version's held-out images, by the probability of their label."""
    held_out = json.loads((served_version() / "assets.extra/held_out.json").read_text())
    counts = [0, *(held_out["probability"][bound] for bound in BOUNDS)]
    return [(more - fewer) / held_out["images"] for fewer, more in pairwise(counts)]


def check(group: str, series: dict[str, str], labels: dict[str, str] | None, folder: Path) -> None:
    """Whether the group's alert fires with these labels; the series have a value an hour."""
    need("promtool")
    rules = RULES[group]  # hourly instead of every five minutes, to be fast
    [alert] = [rule for rule in rules if "alert" in rule]
    fired = {
        "exp_labels": {**(labels or {}), **alert["labels"]},
        "exp_annotations": alert["annotations"],
    }
    case = {
        "interval": "1h",
        "input_series": [{"series": name, "values": text} for name, text in series.items()],
        "alert_rule_test": [
            {
                "eval_time": "200h",
                "alertname": alert["alert"],
                "exp_alerts": [] if labels is None else [fired],
            }
        ],
    }
    (folder / "rules.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": group, "rules": rules}]})
    )
    test = {"rule_files": ["rules.yaml"], "evaluation_interval": "1h", "tests": [case]}
    (folder / "test.yaml").write_text(yaml.safe_dump(test))
    output("promtool", "test", "rules", folder / "test.yaml")


@pytest.mark.parametrize(("tennis", "fires"), [(10, True), (60, False)])
def test_labels_drift(tennis: int, fires: bool, tmp_path: Path) -> None:
    """A hundred images of each of two labels an hour, for a week; then `tennis` of one of them."""
    then = {"tennis": tennis, "cricket": 200 - tennis}
    series = {
        f'gateway_predictions_total{{label="{label}"}}': f"0+100x168 {16800 + count}+{count}x40"
        for label, count in then.items()
    }
    check("drift", series, {} if fires else None, tmp_path)


@pytest.mark.parametrize(
    ("less_sure", "version", "fires"),
    [(0.0, 0, False), (0.05, 0, False), (0.4, 0, True), (0.4, 1, False)],
    ids=["as held out", "a little less sure", "much less sure", "a version without shares"],
)
def test_confidence_drift(less_sure: float, version: int, fires: bool, tmp_path: Path) -> None:
    """100 images an hour; `less_sure` of the surest have the lowest probabilities instead."""
    shares = held_out_shares()
    shares[0] += less_sure
    shares[-1] -= less_sure
    number = str(int(served_version().name) + version)
    series = {f'gateway_model_info{{version="{number}"}}': "1x200"}
    up_to = 0.0
    for bound, share in zip(BOUNDS, shares, strict=True):
        up_to += share
        series[f'gateway_probability_bucket{{le="{bound}"}}'] = f"0+{100 * up_to:.3f}x200"
    series["gateway_probability_count"] = "0+100x200"
    check("confidence", series, {"version": number} if fires else None, tmp_path)


def test_the_shares_are_those_of_the_served_version() -> None:
    version = served_version().name
    written = {
        rule["labels"]["up_to"]: float(rule["expr"].removeprefix("vector(").removesuffix(")"))
        for rule in RULES["confidence"]
        if rule.get("record") == "model:held_out_share" and rule["labels"]["version"] == version
    }
    expected = {
        bound: round(share, 4) for bound, share in zip(BOUNDS, held_out_shares(), strict=True)
    }
    assert written == expected, "monitoring/alerts.yaml and its copy for Kubernetes need these"


def test_shares_of_none_would_make_the_index_infinite() -> None:
    assert min(held_out_shares()) > 0
