"""Images built without Docker, in a store of the tests' own that is kept between runs."""

import fcntl
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from machine import CACHE, ROOT, output

BASE = "localhost/trixie-python:2"
PACKAGES = "python3,python3-pip"
UNUSED_AFTER = "168h"  # layers of older builds are removed
Image = dict[str, Any]


class Store:
    """Runs buildah and podman on the images in a folder."""

    def __init__(self, folder: Path) -> None:
        self._options = (f"--root={folder / 'images'}", f"--runroot={folder / 'run'}")

    def __call__(self, tool: str, *arguments: object) -> str:
        return output(tool, *self._options, *arguments).strip()

    def build(self, folder: Path, tag: str, *options: str) -> Image:
        """Build a Dockerfile, reusing the unchanged layers of the last build."""
        self(
            "buildah",
            *("bud", "--layers", "--isolation=chroot", "--format=docker", "--quiet"),
            *(f"--tag={tag}", "--volume=/etc/ssl/certs:/etc/ssl/certs:ro"),
            *options,
            folder,
        )
        return self.inspect(tag)

    def inspect(self, tag: str) -> Image:
        [image] = json.loads(self("podman", "image", "inspect", tag))
        return dict(image)

    def has(self, tag: str) -> bool:
        return tag in self("podman", "images", "--format={{.Repository}}:{{.Tag}}").split()

    @contextmanager
    def container(self, image: str) -> Iterator[str]:
        name = self("buildah", "from", image)
        try:
            yield name
        finally:
            self("buildah", "rm", name)

    def make_base(self, folder: Path) -> None:
        """Make an image with the files of Debian trixie and its Python 3.13.

        The packages are unpacked but not configured, which takes a third of the time and is
        enough for the Dockerfiles.
        """
        command = ["debootstrap", "--download-only", "--variant=minbase", f"--include={PACKAGES}"]
        made = subprocess.run([*command, "trixie", str(folder)], capture_output=True, text=True)
        if made.returncode:
            pytest.skip(f"debootstrap could not download Debian: {made.stdout[-200:]}")
        with self.container("scratch") as container:
            root = Path(self("buildah", "mount", container))
            for package in folder.glob("var/cache/apt/archives/*.deb"):
                output("dpkg-deb", "--extract", package, root)
            for name in ("passwd", "group"):
                master = root / "usr/share/base-passwd" / f"{name}.master"
                (root / "etc" / name).write_text(master.read_text())
            (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
            (root / "usr/bin/python").symlink_to("python3")
            self("buildah", "commit", "--quiet", container, BASE)


@contextmanager
def image_store(temporary: Path) -> Iterator[Store]:
    """The store with the base image; one test run at a time may use it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        store = Store(CACHE)
        if not store.has(BASE):
            store.make_base(temporary)
        yield store
        store("podman", "image", "prune", "--force", f"--filter=until={UNUSED_AFTER}")


def gateway_image(store: Store) -> Image:
    base = f"--build-arg=PYTHON_IMAGE={BASE}"
    return store.build(ROOT / "gateway", "localhost/sports-gateway:test", base)
