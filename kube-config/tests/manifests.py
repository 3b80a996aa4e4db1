"""The manifests as kubectl renders them."""

import functools
import re
from typing import Any

import yaml
from machine import ROOT, kubectl, output
from variables import flags

from gateway.config import Settings

OVERLAYS = ("kind", "eks", "openvino")
NAMES = ("gateway", "model")
Object = dict[str, Any]


class Manifests(list[Object]):
    """The objects of one overlay."""

    def of(self, kind: str) -> dict[str, Object]:
        return {item["metadata"]["name"]: item for item in self if item["kind"] == kind}

    def spec(self, kind: str, name: str) -> Object:
        spec: Object = self.of(kind)[f"sports-{name}"]["spec"]
        return spec

    def pod(self, name: str) -> Object:
        template: Object = self.spec("Deployment", name)["template"]
        return template

    def container(self, name: str) -> Object:
        [container] = self.pod(name)["spec"]["containers"]
        return dict(container)

    def ports(self, name: str) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for port in self.container(name)["ports"]}

    def dockerfile(self, name: str) -> str:
        """The Dockerfile of a container; an overlay's own one is in the folder named by the tag."""
        own = ROOT / "kube-config/overlays" / self.container(name)["image"].split(":")[1]
        folder = own if (own / "Dockerfile").exists() else ROOT / name
        return (folder / "Dockerfile").read_text()

    def environment(self, name: str) -> dict[str, str]:
        container = self.container(name)
        limits = container["resources"]["limits"]
        return {
            entry["name"]: entry.get("value")
            or limits[entry["valueFrom"]["resourceFieldRef"]["resource"].removeprefix("limits.")]
            for entry in container["env"]
        }

    def settings(self) -> Settings:
        return Settings.from_env(self.environment("gateway"))

    def model_flags(self) -> dict[str, str]:
        """The model server's flags: variables TFS_<FLAG>, or arguments with $(VARIABLE)."""
        variables = self.environment("model")
        arguments = self.container("model").get("args")
        if arguments is None:
            return {name.removeprefix("TFS_").lower(): text for name, text in variables.items()}
        return flags(
            re.sub(r"\$\((\w+)\)", lambda match: variables[match[1]], argument)
            for argument in arguments
        )

    def connection_age(self) -> float:
        """Seconds until the model server closes a connection; gRPC varies it by up to a tenth."""
        arguments = self.model_flags()["grpc_channel_arguments"]
        return int(arguments.removeprefix("grpc.max_connection_age_ms=")) / 1000

    def stop_times(self, name: str) -> tuple[int, int]:
        """preStop and grace period, in seconds."""
        pre_stop: int = self.container(name)["lifecycle"]["preStop"]["sleep"]["seconds"]
        return pre_stop, self.pod(name)["spec"]["terminationGracePeriodSeconds"]


@functools.cache
def rendered(overlay: str) -> Manifests:
    folder = ROOT / "kube-config/overlays" / overlay
    return Manifests(yaml.safe_load_all(output(kubectl(), "kustomize", folder)))


def quantity(text: str) -> float:
    """The value of a Kubernetes quantity such as 500m, 4Gi, 2."""
    for unit, factor in {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "m": 1e-3}.items():
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text)
