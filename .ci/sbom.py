"""Write a CycloneDX SBOM of each image and of `make run`'s environment, from the lock files.

python .ci/sbom.py FOLDER
"""

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement

from gateway.version import VERSION

ROOT = Path(__file__).resolve().parent.parent
MODEL = "model/sport-classification-model"
# What the images run; the names are those of PEP 508's environment markers.
IMAGE_ENVIRONMENT = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "sys_platform": "linux",
}
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Target:
    """Something that is shipped.

    Attributes:
        locks: files with the packages that it contains.
        dockerfile: of an image; its base is a component. Without one, all packages that some
            platform installs are listed.
        folders: whose files are components, too.
    """

    locks: tuple[str, ...] = ()
    dockerfile: str = ""
    folders: tuple[str, ...] = ()


TARGETS = {
    "sports-gateway": Target(("gateway/requirements.lock",), "gateway/Dockerfile"),
    "sports-model-server": Target(("model/server/requirements.lock",), "model/server/Dockerfile"),
    "sports-model": Target((), "model/Dockerfile", (MODEL,)),
    "sports-run": Target(
        ("gateway/requirements.lock", "model/server/requirements.lock", "client/requirements.lock")
    ),
}


def bom(name: str, target: Target) -> Bom:
    """The bill of materials of a target, the same for the same files."""
    root = _component(name, VERSION, ComponentType.APPLICATION)
    components = {}
    environment: Mapping[str, str] = {}
    if target.dockerfile:
        base = _base_image(ROOT / target.dockerfile)
        components[base.name] = base
        environment = _environment(base)
    for lock in target.locks:
        for component in _packages(ROOT / lock, environment):
            components[str(component.purl)] = component
    for folder in target.folders:
        for file in sorted((ROOT / folder).rglob("*")):
            if file.is_file():
                components[str(file)] = _file(file)
    result = Bom(components=components.values())
    result.metadata.component = root
    result.register_dependency(root, components.values())
    return result


def _environment(base: Component) -> Mapping[str, str]:
    """The markers' environment in an image on this base; empty if the base has no Python."""
    if base.name != "python":
        return {}
    version = str(base.version).split("-")[0]
    return {**IMAGE_ENVIRONMENT, "python_version": version, "python_full_version": f"{version}.0"}


def _base_image(dockerfile: Path) -> Component:
    """The image that a Dockerfile's first argument names."""
    found = re.search(r"^ARG \w+=([\w./-]+):([\w.-]+)", dockerfile.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{dockerfile} does not begin with its base image")
    name, version = found.groups()
    return _component(
        name, version, ComponentType.CONTAINER, PackageURL("docker", "", name, version)
    )


def _packages(lock: Path, environment: Mapping[str, str]) -> Iterator[Component]:
    """The packages that a lock file installs there; all of them without an environment."""
    for line in lock.read_text().replace("\\\n", " ").splitlines():
        text = HASH.sub("", line.partition("#")[0]).strip()
        if not text:
            continue
        requirement = Requirement(text)
        if environment and requirement.marker and not requirement.marker.evaluate(environment):
            continue
        version = str(requirement.specifier).removeprefix("==")
        component = _component(
            requirement.name,
            version,
            ComponentType.LIBRARY,
            PackageURL("pypi", None, requirement.name, version),
        )
        # One for each wheel; an installer accepts nothing else.
        digests = HASH.findall(line)
        component.hashes = [HashType(alg=HashAlgorithm.SHA_256, content=d) for d in digests]
        yield component


def _file(path: Path) -> Component:
    component = _component(str(path.relative_to(ROOT)), None, ComponentType.FILE)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    component.hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest)]
    return component


def _component(
    name: str, version: str | None, kind: ComponentType, purl: PackageURL | None = None
) -> Component:
    return Component(name=name, version=version, type=kind, purl=purl, bom_ref=str(purl or name))


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in TARGETS.items():
        document = bom(name, target)
        # A serial number and a time would make each run's output another one.
        document.serial_number = None  # type: ignore[assignment]
        document.metadata.timestamp = None  # type: ignore[assignment]
        output = folder / f"{name}.cdx.json"
        make_outputter(document, OutputFormat.JSON, SchemaVersion.V1_6).output_to_file(
            str(output), allow_overwrite=True, indent=2
        )
        print(f"{output}: {len(document.components)} components")


if __name__ == "__main__":
    main()
