"""The manifests as kubectl renders them."""

import functools
from collections.abc import Iterator

import yaml
from machine import ROOT, need_kubectl, output

OVERLAYS = ("kind", "eks", "openvino")
NAMES = ("gateway", "model")


class Manifests(list[dict]):
    """One overlay's objects."""

    def of(self, kind: str) -> dict[str, dict]:
        return {item["metadata"]["name"]: item for item in self if item["kind"] == kind}

    def pod(self, name: str) -> dict:
        return self.of("Deployment")[f"sports-{name}"]["spec"]["template"]

    def container(self, name: str) -> dict:
        [container] = self.pod(name)["spec"]["containers"]
        return container

    def dockerfile(self, name: str) -> str:
        """Of the image that a container runs: an overlay has its own, named by the tag."""
        own = ROOT / "kube-config/overlays" / self.container(name)["image"].split(":")[1]
        folder = own if (own / "Dockerfile").exists() else ROOT / name
        return (folder / "Dockerfile").read_text()


@functools.cache
def rendered(overlay: str) -> Manifests:
    need_kubectl()
    folder = ROOT / "kube-config/overlays" / overlay
    return Manifests(yaml.safe_load_all(output("kubectl", "kustomize", folder)))


def values(item: object) -> Iterator[object]:
    """Every value inside an object, however deep."""
    yield item
    children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    for child in children:
        yield from values(child)


def quantity(text: str) -> float:
    """Kubernetes' spelling of a number: 500m, 4Gi, 2."""
    for unit, factor in {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "m": 1e-3}.items():
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text)
