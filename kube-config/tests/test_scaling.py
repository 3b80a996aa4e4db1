"""The autoscalers, and what their ceilings mean for nodes and threads."""

import re

import yaml
from machine import ROOT
from manifests import Manifests, quantity, rendered

NODE_CPUS = 3.92 - 0.5  # what an m7i.xlarge has for pods, less what the cluster's own pods request


def test_the_autoscaler_sets_the_replicas(manifests: Manifests, name: str) -> None:
    scaler = manifests.spec("HorizontalPodAutoscaler", name)
    assert "replicas" not in manifests.spec("Deployment", name)
    assert scaler["scaleTargetRef"]["name"] == f"sports-{name}"
    least = 1 if manifests is rendered("kind") else 2  # one may be lost
    assert least <= scaler["minReplicas"] < scaler["maxReplicas"]


def test_the_autoscalers_ceilings_fit_the_node_group() -> None:
    eks = rendered("eks")
    [nodes] = yaml.safe_load((ROOT / "kube-config/eks-config.yaml").read_text())[
        "managedNodeGroups"
    ]
    assert nodes["instanceType"] == "m7i.xlarge"
    free = [NODE_CPUS] * nodes["maxSize"]
    for name in ("model", "gateway"):  # the largest first
        request = quantity(eks.container(name)["resources"]["requests"]["cpu"])
        surge = eks.spec("Deployment", name)["strategy"]["rollingUpdate"]["maxSurge"]
        for _ in range(eks.spec("HorizontalPodAutoscaler", name)["maxReplicas"] + surge):
            free.sort()
            free[-1] -= request
    assert min(free) >= 0


def test_the_model_has_a_thread_for_every_call(manifests: Manifests) -> None:
    gateways = manifests.spec("HorizontalPodAutoscaler", "gateway")["maxReplicas"]
    workers = gateways * int(manifests.environment("gateway")["WEB_CONCURRENCY"])
    dockerfile = re.search(r"TFS_GRPC_MAX_THREADS=(\d+)", manifests.dockerfile("model"))
    threads = dockerfile[1] if dockerfile else manifests.model_flags()["grpc_max_threads"]
    calls = workers * (manifests.settings().max_in_flight + 1)  # and one for a readiness probe
    assert calls <= int(threads)
