"""deploy-local-kube.sh and deploy-eks.sh against fake tools, and shellcheck for all scripts."""

import re
import shutil

import pytest
from machine import ROOT, need, output
from scripts import EKS, GATEWAY, LOCAL, MODEL, FakeMachine, build, tag

KUBECTL = "kubectl --context {}-sports --namespace sports"
AWS = "aws --region eu-central-1"
REGISTRY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
LOGIN = {  # both ends of a pipe, in either order
    f"{AWS} ecr get-login-password",
    f"docker login --username AWS --password-stdin {REGISTRY}",
}


def test_shellcheck() -> None:
    need("shellcheck")
    scripts = [LOCAL, EKS, "predict_test.sh", "model/serve.sh", ".ci/run"]
    others = ["kube-config/pin-images.sh", "kube-config/tests/fake_tool.sh"]
    output("shellcheck", "--external-sources", *scripts, *others, cwd=ROOT)


def test_local_creates_a_cluster_with_the_built_images(machine: FakeMachine) -> None:
    text, kubectl = machine.succeed(LOCAL), KUBECTL.format("kind")
    assert machine.calls() == [
        "docker info",
        *build("gateway"),
        *build("model"),
        "kind get clusters",
        "kind create cluster --name sports --wait 3m",
        f"kind load docker-image --name sports {GATEWAY} {MODEL}",
        f"{kubectl} apply -k kube-config/overlays/run",
        f"{kubectl} rollout status deployment/sports-model --timeout 10m",
        f"{kubectl} rollout status deployment/sports-gateway --timeout 10m",
        f"{kubectl} port-forward deployment/sports-gateway :9696",
    ]
    assert '"soccer"' in text
    assert f"{kubectl} port-forward service/sports-gateway-service 9696:9696" in text
    applied = machine.applied()
    assert applied.container("gateway")["image"] == GATEWAY
    assert applied.container("model")["image"] == MODEL
    labels = applied.pod("model")["metadata"]["labels"]
    assert labels["app.kubernetes.io/version"] == tag("model")


def test_local_keeps_an_existing_cluster_until_it_is_deleted(machine: FakeMachine) -> None:
    machine.succeed(LOCAL, "mine")
    machine.succeed(LOCAL, "mine")
    assert "kind create" not in "\n".join(machine.calls())
    assert f"kind load docker-image --name mine {GATEWAY} {MODEL}" in machine.calls()
    assert any(call.startswith("kubectl --context kind-mine ") for call in machine.calls())
    machine.succeed(LOCAL, "--delete", "mine")
    assert machine.calls() == ["docker info", "kind delete cluster --name mine"]


def pushes(image: str) -> list[str]:
    """The calls that push an image to a new repository."""
    name, tag = image.split(":")
    return [
        f"{AWS} ecr describe-repositories --repository-names {name}",
        f"{AWS} ecr create-repository --repository-name {name} --image-tag-mutability IMMUTABLE"
        " --image-scanning-configuration scanOnPush=true",
        f"{AWS} ecr put-lifecycle-policy --repository-name {name}"
        " --lifecycle-policy-text file://kube-config/ecr-lifecycle.json",
        f"{AWS} ecr describe-images --repository-name {name} --image-ids imageTag={tag}",
        f"docker push {REGISTRY}/{image}",
    ]


def test_eks_creates_a_cluster_with_the_pushed_images_and_nothing_twice(
    machine: FakeMachine,
) -> None:
    text, kubectl = machine.succeed(EKS, "--create"), KUBECTL.format("eks")
    assert set(machine.calls()) > LOGIN
    assert [call for call in machine.calls() if call not in LOGIN] == [
        "docker info",
        f"{AWS} sts get-caller-identity --query Account --output text",
        "eksctl get cluster --name sports --region eu-central-1",
        "eksctl create cluster --config-file kube-config/overlays/run/eks-config.yaml",
        f"{AWS} eks update-kubeconfig --name sports --alias eks-sports",
        *build("gateway", "--platform linux/amd64 ", f"{REGISTRY}/"),
        *build("model", "--platform linux/amd64 ", f"{REGISTRY}/"),
        *pushes(GATEWAY),
        *pushes(MODEL),
        f"{kubectl} apply -k kube-config/overlays/run",
        f"{kubectl} rollout status deployment/sports-model --timeout 15m",
        f"{kubectl} rollout status deployment/sports-gateway --timeout 10m",
        f"{kubectl} port-forward deployment/sports-gateway :9696",
    ]
    assert '"soccer"' in text
    assert "secret" not in text
    assert machine.applied().container("gateway")["image"] == f"{REGISTRY}/{GATEWAY}"
    assert machine.applied().container("model")["image"] == f"{REGISTRY}/{MODEL}"
    machine.succeed(EKS, "--create")
    assert not [call for call in machine.calls() if "create" in call or "push" in call]


@pytest.mark.parametrize("key", ["", "arn:aws:kms:eu-central-1:123456789012:key/1"])
def test_the_cluster_is_open_to_the_given_addresses_only(machine: FakeMachine, key: str) -> None:
    machine.succeed(EKS, "--create", SECRETS_KEY_ARN=key)
    config = machine.cluster_config()
    assert config["vpc"]["publicAccessCIDRs"] == ["203.0.113.0/24", "198.51.100.7/32"]
    assert config["vpc"]["clusterEndpoints"]["privateAccess"]  # the nodes' way to the API
    assert config.get("secretsEncryption", {}).get("keyARN", "") == key
    assert config["upgradePolicy"] == {"supportType": "STANDARD"}


def test_eks_canary_stops_after_one_pod_and_creates_no_cluster(machine: FakeMachine) -> None:
    text, kubectl = machine.succeed(EKS, "--canary"), KUBECTL.format("eks")
    assert not [call for call in machine.calls() if call.startswith("eksctl")]
    assert [call for call in machine.calls() if " rollout " in call] == [
        f"{kubectl} rollout pause deployment/sports-model",
        f"{kubectl} rollout status deployment/sports-gateway --timeout 10m",
    ]
    assert f"{kubectl} rollout resume deployment/sports-model" in text
    assert f"{kubectl} rollout undo deployment/sports-model" in text
    assert machine.applied().spec("Deployment", "model")["paused"] is False


def test_eks_dry_run_calls_nothing_and_shows_everything(machine: FakeMachine) -> None:
    text = machine.succeed(EKS, "--dry-run", "--create")
    assert machine.calls() == []
    for call in ("eksctl create", "docker build", "create-repository", "docker push", "apply -k"):
        assert any(line.startswith("+ ") and call in line for line in text.splitlines()), call


@pytest.mark.parametrize(
    ("script", "call", "step"),
    [
        (LOCAL, "docker build", "Building the images"),
        (LOCAL, "kind create", "Preparing the cluster sports"),
        (LOCAL, "kind load", "Preparing the cluster sports"),
        (LOCAL, "apply -k", "Rolling out"),
        (LOCAL, "port-forward", "Classifying a sample image"),
        (EKS, "eks update-kubeconfig", "Preparing the cluster sports in eu-central-1"),
        (EKS, "docker login", "Pushing the images"),
        (EKS, "docker push", "Pushing the images"),
        (EKS, "apply -k", "Rolling out"),
    ],
)
def test_scripts_stop_at_a_failing_tool(
    machine: FakeMachine, script: str, call: str, step: str
) -> None:
    status, text = machine.run(script, FAILS=call)
    assert status != 0
    assert f"stopped: {step} failed" in text
    assert any(call in last for last in machine.calls()[-2 if call == "docker login" else -1 :])


def test_a_failed_rollout_shows_pods_and_warnings(machine: FakeMachine) -> None:
    status, text = machine.run(LOCAL, FAILS="status deployment/sports-gateway")
    assert status != 0
    assert "stopped: Rolling out failed" in text
    pods, events = machine.calls()[-2:]
    assert pods.endswith("get pods")
    assert events.endswith("get events --field-selector type=Warning --sort-by .lastTimestamp")


def test_a_service_that_does_not_answer_is_a_failure(machine: FakeMachine) -> None:
    status, text = machine.run(LOCAL, SERVICE_PORT="1")
    assert status != 0
    assert "stopped: Classifying a sample image failed" in text


@pytest.mark.parametrize(
    ("command", "fails", "message"),
    [
        ([LOCAL], "docker info", "cannot reach Docker"),
        ([EKS], "get-caller-identity", "not logged in to AWS; see: aws configure"),
        ([EKS, "--dryrun"], "", "--dry-run"),
        (["env", "PUBLIC_ACCESS_CIDRS=", EKS, "--create"], "", "set PUBLIC_ACCESS_CIDRS"),
    ],
)
def test_scripts_refuse_to_start(
    machine: FakeMachine, command: list[str], fails: str, message: str
) -> None:
    status, text = machine.run(*command, FAILS=fails)
    assert status == 1
    assert message in text
    assert not [call for call in machine.calls() if "build" in call]


def test_all_missing_tools_are_named(machine: FakeMachine) -> None:
    for tool in ("bash", "cat", "curl", "dirname", "git", "mktemp", "rm", "sed"):
        (machine.bin / tool).symlink_to(str(shutil.which(tool)))
    for tool in ("docker", "kubectl"):
        (machine.bin / tool).unlink()
    status, text = machine.run(LOCAL, PATH=str(machine.bin))
    assert status == 1
    named = re.findall(r"^(\w+) is missing, get it from https://", text, re.MULTILINE)
    assert named == ["docker", "kubectl"]
    assert machine.calls() == []
