"""deploy-eks.sh with AWS' own command, against moto's simulation of AWS."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import run_local
import yaml
from gateway_testing.environments import programs
from gateway_testing.ports import free_port
from gateway_testing.waiting import wait_for
from machine import ROOT
from scripts import EKS, GATEWAY, MODEL, FakeMachine

PACKAGES = Path(__file__).with_name("aws.txt")
CLUSTER = {
    "name": "sports",
    "roleArn": "arn:aws:iam::123456789012:role/cluster",
    "resourcesVpcConfig": {"subnetIds": ["subnet-1", "subnet-2"]},
}


class Aws:
    """moto's server, asked as AWS' command asks it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, service: str, path: str, body: Any, **headers: str) -> dict[str, Any]:
        scope = f"key/20260101/eu-central-1/{service}/aws4_request"
        headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host"
        response = requests.post(self.url + path, json.dumps(body), headers=headers, timeout=60)
        assert response.ok, response.text
        return dict(response.json())

    def ecr(self, operation: str, **body: str) -> dict[str, Any]:
        target = f"AmazonEC2ContainerRegistry_V20150921.{operation}"
        return self.ask("ecr", "/", body, **{"X-Amz-Target": target})


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/moto-api/", timeout=1).ok
    except requests.RequestException:
        return False


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[Aws]:
    port = free_port()
    command = [str(programs(PACKAGES) / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    url = f"http://127.0.0.1:{port}"
    with (
        (tmp_path / "moto.log").open("wb") as log,
        run_local.running(command, {"HOME": str(tmp_path)}, tmp_path, log),
    ):
        wait_for(lambda: answers(url), 120)
        yield Aws(url)


def test_eks_with_the_real_command(machine: FakeMachine, aws: Aws, tmp_path: Path) -> None:
    aws.ask("eks", "/clusters", CLUSTER)
    (machine.bin / "aws").unlink()
    (machine.bin / "aws").symlink_to(programs(PACKAGES) / "aws")
    credentials = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    machine.succeed(
        EKS, AWS_ENDPOINT_URL=aws.url, ECR_TOKEN="123456789012-auth-token", **credentials
    )

    repositories = {
        each["repositoryName"]: each for each in aws.ecr("DescribeRepositories")["repositories"]
    }
    assert set(repositories) == {"sports-gateway", "sports-model"}
    policy = json.loads((ROOT / "kube-config/ecr-lifecycle.json").read_text())
    for name, repository in repositories.items():
        assert repository["imageTagMutability"] == "IMMUTABLE"
        assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
        kept = aws.ecr("GetLifecyclePolicy", repositoryName=name)["lifecyclePolicyText"]
        assert json.loads(kept) == policy
    for image in (GATEWAY, MODEL):
        registry = repositories[image.split(":")[0]]["repositoryUri"].split("/")[0]
        assert f"docker push {registry}/{image}" in machine.calls()
    config = yaml.safe_load((tmp_path / ".kube/config").read_text())
    [context] = config["contexts"]
    assert context["name"] == config["current-context"] == "eks-sports"
