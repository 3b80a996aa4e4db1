"""README.md adds up, and says what the scripts say."""

import itertools
import re
import shutil
from pathlib import Path

import pytest
import yaml
from machine import KUBECTL_MINOR, ROOT, need_kubectl, output
from manifests import rendered
from test_manifests import DNS_TTL, connection_age, settings, times

README = (ROOT / "kube-config/README.md").read_text()
SCRIPTS = ("deploy-local-kube.sh", "kube-config/deploy-eks.sh", "kube-config/rollout.sh")


def table(name: str) -> list[tuple[int, int, str]]:
    """The rows of a rolling update: second, how long, what."""
    text = README.split(f"**{name}**")[1].split("**")[0]
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (.+) \|$", text, re.MULTILINE)
    return [(int(second), int(takes), what) for second, takes, what in rows]


def row(name: str, words: str) -> tuple[int, int]:
    """When something happens, and how long it takes."""
    [found] = [(second, takes) for second, takes, what in table(name) if words in what]
    return found


@pytest.mark.parametrize("name", ["Model", "Gateway"])
def test_the_seconds_add_up(name: str) -> None:
    rows = table(name)
    assert len(rows) > 5
    for (second, takes, _), (following, *_) in itertools.pairwise(rows):
        assert second + takes == following


@pytest.mark.parametrize("name", ["Model", "Gateway"])
def test_the_seconds_are_those_of_the_manifests(name: str) -> None:
    manifests = rendered("eks")
    pre_stop, grace = times(manifests, name.lower())
    container = manifests.container(name.lower())
    leaving, _ = row(name, "preStop begins")
    assert row(name, "startup probe")[1] == container["startupProbe"]["periodSeconds"]
    assert row(name, "readiness probe")[1] == container["readinessProbe"]["periodSeconds"]
    assert row(name, "last request")[1] == settings(manifests).request_timeout
    assert row(name, "SIGTERM")[0] == leaving + pre_stop
    assert row(name, "SIGKILL")[0] == leaving + grace


def test_the_model_waits_for_resolvers_and_connections() -> None:
    assert row("Model", "resolvers may know it")[1] == DNS_TTL
    assert row("Model", "reaches its age")[1] == connection_age(rendered("eks")) * 1.1


def test_everything_that_a_script_says_before_it_stops_is_in_the_table() -> None:
    text = "".join((ROOT / script).read_text() for script in SCRIPTS)
    messages = re.findall(r'\bfail "([^"]+)"', text)
    assert len(messages) == 3
    for message in messages:
        assert f"`{message}`" in README
    for part in ("is missing, get it from", "went wrong, see above"):
        assert part in text
        assert part in README


def test_the_version_of_kubectl_is_the_tests_own() -> None:
    assert f"kubectl 1.{KUBECTL_MINOR} or newer" in README


def test_every_file_that_is_named_exists() -> None:
    named = set(re.findall(r"`((?:base|overlays|tests)/[\w./-]+|[\w-]+\.(?:yaml|sh))`", README))
    assert len(named) > 7
    assert {name for name in named if not (ROOT / "kube-config" / name).exists()} == set()


def test_the_patch_for_tls_works(tmp_path: Path) -> None:
    need_kubectl()
    [patch] = re.findall(r"```yaml\n(.+?)```", README, re.DOTALL)
    for overlay in ("base", "overlays/eks"):
        shutil.copytree(ROOT / "kube-config" / overlay, tmp_path / overlay)
    with (tmp_path / "overlays/eks/kustomization.yaml").open("a") as file:
        file.write(patch)
    rendered = output("kubectl", "kustomize", tmp_path / "overlays/eks")
    [service] = [
        item
        for item in yaml.safe_load_all(rendered)
        if (item["kind"], item["metadata"]["name"]) == ("Service", "sports-gateway-service")
    ]
    assert [port["port"] for port in service["spec"]["ports"]] == [443]
    assert len(service["metadata"]["annotations"]) == 3
    assert service["spec"]["loadBalancerSourceRanges"] == ["203.0.113.0/24"]
