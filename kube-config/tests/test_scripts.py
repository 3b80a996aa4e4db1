"""The scripts, run against stand-ins of the tools that they call."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from machine import ROOT, need, need_kubectl, output

LOCAL = ROOT / "deploy-local-kube.sh"
EKS = ROOT / "kube-config/deploy-eks.sh"
TOOLS = ("docker", "kind", "kubectl", "aws", "eksctl")
REGISTRY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"


class Service(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200 if self.path == "/predict" else 404)
        self.end_headers()
        self.wfile.write(b'"soccer"\n')

    def log_message(self, *_: object) -> None:
        pass


class Desk:
    """A machine where the tools are stand-ins."""

    def __init__(self, folder: Path, port: int) -> None:
        self.bin, self.state = folder / "bin", folder / "state"
        self.bin.mkdir()
        self.state.mkdir()
        for tool in TOOLS:
            script = self.bin / tool
            source = (ROOT / "kube-config/tests/stand_in.py").read_text()
            script.write_text(f"#!{sys.executable}\n{source}")
            script.chmod(0o755)
        self.environ = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(folder),
            "STATE": str(self.state),
            "KUBECTL": shutil.which("kubectl") or "",
            "SERVICE_PORT": str(port),
        }

    def run(self, *command: object, **variables: str) -> tuple[int, str]:
        """The exit status, and what the script printed."""
        (self.state / "calls").write_text("")
        result = subprocess.run(
            [str(word) for word in command],
            env={**self.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        assert list((ROOT / "kube-config/overlays").glob("run.*")) == []
        return result.returncode, result.stdout

    def calls(self) -> list[str]:
        """What the tools were asked, without the names that chance gave to folders."""
        text = re.sub(r"run\.\w{6}", "run", (self.state / "calls").read_text())
        return re.sub(r"REVISION=\w+", "REVISION=x", text).splitlines()

    def applied(self) -> dict[tuple[str, str], dict]:
        items = yaml.safe_load_all((self.state / "applied").read_text())
        return {(item["kind"], item["metadata"]["name"]): item for item in items}


@pytest.fixture(scope="module")
def service() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def desk(tmp_path: Path, service: int) -> Desk:
    need_kubectl()
    need("curl", "git")
    return Desk(tmp_path, service)


def tag(folder: str) -> str:
    """What the stand-in of docker names the image of a folder."""
    import hashlib

    return hashlib.sha256(folder.encode()).hexdigest()[:12]


GATEWAY, MODEL = f"sports-gateway:{tag('gateway')}", f"sports-model:{tag('model')}"
BUILD = "docker build{} --build-arg REVISION=x --iidfile kube-config/overlays/run/{name} {name}"


def test_shellcheck() -> None:
    need("shellcheck")
    scripts = [LOCAL, EKS, ROOT / "predict_test.sh", ROOT / "model/serve.sh", ROOT / ".ci/run"]
    output("shellcheck", "--external-sources", *scripts, cwd=ROOT)


def test_local_asks_for_everything_in_order(desk: Desk) -> None:
    status, text = desk.run(LOCAL)
    assert status == 0, text
    kubectl = "kubectl --context kind-sports --namespace sports"
    calls = desk.calls()
    assert [call for call in calls if not call.startswith("docker tag")] == [
        "docker info",
        BUILD.format("", name="gateway"),
        BUILD.format("", name="model"),
        "kind get clusters",
        "kind create cluster --name sports --wait 3m",
        f"kind load docker-image --name sports {GATEWAY} {MODEL}",
        f"{kubectl} apply -k kube-config/overlays/run",
        f"{kubectl} rollout status deployment/sports-model --timeout 10m",
        f"{kubectl} rollout status deployment/sports-gateway --timeout 10m",
        f"{kubectl} port-forward deployment/sports-gateway :9696",
    ]
    assert [call.split()[-1] for call in calls if call.startswith("docker tag")] == [GATEWAY, MODEL]
    assert '"soccer"' in text
    assert f"{kubectl} port-forward service/sports-gateway-service 9696:9696" in text


def test_local_applies_the_images_that_it_built(desk: Desk) -> None:
    desk.run(LOCAL)
    for name, image in {"gateway": GATEWAY, "model": MODEL}.items():
        template = desk.applied()["Deployment", f"sports-{name}"]["spec"]["template"]
        assert template["spec"]["containers"][0]["image"] == image
        if name == "model":
            version = template["metadata"]["labels"]["app.kubernetes.io/version"]
            assert version == tag("model")


def test_local_can_be_run_again(desk: Desk) -> None:
    desk.run(LOCAL, "mine")
    status, text = desk.run(LOCAL, "mine")
    assert status == 0, text
    assert "kind create" not in "\n".join(desk.calls())
    assert f"kind load docker-image --name mine {GATEWAY} {MODEL}" in desk.calls()
    assert any(call.startswith("kubectl --context kind-mine ") for call in desk.calls())


def test_local_deletes(desk: Desk) -> None:
    desk.run(LOCAL, "mine")
    status, text = desk.run(LOCAL, "--delete", "mine")
    assert status == 0, text
    assert desk.calls() == ["docker info", "kind delete cluster --name mine"]


def test_local_says_how_it_is_used(desk: Desk) -> None:
    status, text = desk.run(LOCAL, "--help")
    assert status == 0
    assert "./deploy-local-kube.sh [cluster-name]" in text
    assert desk.calls() == []


FAILURES = {
    "docker build": "Building the images",
    "kind create": "Preparing the cluster sports",
    "kind load": "Preparing the cluster sports",
    "apply -k": "Rolling out",
    "port-forward": "Asking what a sample picture shows",
}


@pytest.mark.parametrize("call", FAILURES)
def test_local_stops_where_a_tool_fails_and_says_so(desk: Desk, call: str) -> None:
    status, text = desk.run(LOCAL, FAILS=call)
    assert status != 0
    assert f"stopped: {FAILURES[call]} went wrong" in text
    assert call in desk.calls()[-1]


def test_local_shows_the_pods_when_they_do_not_come_up(desk: Desk) -> None:
    status, text = desk.run(LOCAL, FAILS="status deployment/sports-gateway")
    assert status != 0
    assert "stopped: Rolling out went wrong" in text
    kubectl = "kubectl --context kind-sports --namespace sports"
    assert desk.calls()[-2:] == [
        f"{kubectl} get pods",
        f"{kubectl} get events --field-selector type=Warning --sort-by .lastTimestamp",
    ]


def test_local_stops_when_docker_does_not_answer(desk: Desk) -> None:
    status, text = desk.run(LOCAL, FAILS="docker info")
    assert status == 1
    assert "Docker does not answer" in text
    assert desk.calls() == ["docker info"]


def test_local_stops_when_the_answer_is_an_error(desk: Desk) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        status, text = desk.run(LOCAL, SERVICE_PORT=str(server.server_port))
        server.shutdown()
        thread.join()
    assert status != 0
    assert "Asking what a sample picture shows went wrong" in text


@pytest.mark.parametrize("missing", [("kind",), ("docker", "kubectl")])
def test_missing_tools_are_named_with_their_source(desk: Desk, missing: tuple[str, ...]) -> None:
    for tool in ("bash", "cat", "curl", "dirname", "git", "mktemp", "rm", "sed"):
        (desk.bin / tool).symlink_to(shutil.which(tool))
    for tool in missing:
        (desk.bin / tool).unlink()
    status, text = desk.run(LOCAL, PATH=str(desk.bin))
    assert status == 1
    named = re.findall(r"^(\w+) is missing, get it from https://", text, re.MULTILINE)
    assert named == list(missing)
    assert desk.calls() == []


def test_eks_asks_for_everything_in_order(desk: Desk) -> None:
    status, text = desk.run(EKS, "--create")
    assert status == 0, text
    aws = "aws --region eu-central-1"
    kubectl = "kubectl --context eks-sports --namespace sports"
    pushes = []
    for image in (GATEWAY, MODEL):
        name, image_tag = image.split(":")
        pushes += [
            f"{aws} ecr describe-repositories --repository-names {name}",
            f"{aws} ecr create-repository --repository-name {name} --image-tag-mutability"
            " IMMUTABLE --image-scanning-configuration scanOnPush=true",
            f"{aws} ecr describe-images --repository-name {name} --image-ids imageTag={image_tag}",
            f"docker push {REGISTRY}/{image}",
        ]
    calls = [call for call in desk.calls() if not call.startswith("docker tag")]
    login = {f"{aws} ecr get-login-password"}
    login.add(f"docker login --username AWS --password-stdin {REGISTRY}")
    assert [call for call in calls if call not in login] == [
        "docker info",
        "aws sts get-caller-identity --query Account --output text",
        "eksctl get cluster --name sports --region eu-central-1",
        "eksctl create cluster --config-file kube-config/eks-config.yaml",
        f"{aws} eks update-kubeconfig --name sports --alias eks-sports",
        BUILD.format(" --platform linux/amd64", name="gateway"),
        BUILD.format(" --platform linux/amd64", name="model"),
        *pushes,
        f"{kubectl} apply -k kube-config/overlays/run",
        f"{kubectl} rollout status deployment/sports-model --timeout 15m",
        f"{kubectl} rollout status deployment/sports-gateway --timeout 10m",
        f"{kubectl} port-forward deployment/sports-gateway :9696",
    ]
    assert login < set(calls)
    assert '"soccer"' in text
    assert "secret" not in text
    for name, image in {"gateway": GATEWAY, "model": MODEL}.items():
        pod = desk.applied()["Deployment", f"sports-{name}"]["spec"]["template"]["spec"]
        assert pod["containers"][0]["image"] == f"{REGISTRY}/{image}"


def test_eks_makes_and_pushes_nothing_twice(desk: Desk) -> None:
    desk.run(EKS, "--create")
    status, text = desk.run(EKS, "--create")
    assert status == 0, text
    assert not [call for call in desk.calls() if "create" in call or "push" in call]


def test_eks_makes_no_cluster_unasked(desk: Desk) -> None:
    desk.run(EKS)
    assert not [call for call in desk.calls() if call.startswith("eksctl")]


def test_eks_canary_stops_after_one_pod_and_says_how_to_go_on(desk: Desk) -> None:
    status, text = desk.run(EKS, "--canary")
    assert status == 0, text
    calls = [call for call in desk.calls() if " rollout " in call]
    assert calls[0].endswith("rollout pause deployment/sports-model")
    assert "status deployment/sports-model" not in "\n".join(calls)
    assert "rollout resume deployment/sports-model" in text
    assert "rollout undo deployment/sports-model" in text
    assert desk.applied()["Deployment", "sports-model"]["spec"]["paused"] is False


def test_eks_dry_run_calls_nothing_and_shows_everything(desk: Desk) -> None:
    status, text = desk.run(EKS, "--dry-run", "--create")
    assert status == 0, text
    assert desk.calls() == []
    shown = [line for line in text.splitlines() if line.startswith("+ ")]
    for part in ("eksctl create", "docker build", "create-repository", "docker push", "apply -k"):
        assert any(part in line for line in shown), part


@pytest.mark.parametrize("call", ["eks update-kubeconfig", "docker login", "docker push", "apply"])
def test_eks_stops_where_a_tool_fails_and_says_so(desk: Desk, call: str) -> None:
    status, text = desk.run(EKS, FAILS=call)
    assert status != 0
    assert "went wrong, see above" in text
    last = desk.calls()[-2:]  # the password and the login run at the same time
    assert any(call in line for line in last)
    assert "rollout" not in "".join(last)


def test_eks_stops_when_aws_knows_nobody(desk: Desk) -> None:
    status, text = desk.run(EKS, FAILS="get-caller-identity")
    assert status == 1
    assert "AWS does not know you; see: aws configure" in text


def test_eks_refuses_what_it_does_not_know(desk: Desk) -> None:
    status, text = desk.run(EKS, "--dryrun")
    assert status == 1
    assert "--dry-run" in text
    assert desk.calls() == []
