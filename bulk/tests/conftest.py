"""A Ray of two processors and folders of images for the tests of jobs."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted((ROOT / "dataset/samples").glob("*.jpg"))


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    """The address of a Ray on this machine; jobs in this process use it as it is."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: make .venv/bulk/ready does it")
    from sports_bulk import cluster

    cluster.connect(None, num_cpus=2, object_store_memory=200_000_000)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with 300 images, some in folders below, of which three are broken."""
    folder = tmp_path / "images"
    for number in range(300):
        target = folder / f"{number // 100}" / f"{number:03}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        if number % 100 == 50:
            target.write_bytes(SAMPLES[0].read_bytes()[:500])
        else:
            shutil.copy(SAMPLES[number % len(SAMPLES)], target)
    (folder / "notes.md").write_text("no image")
    return folder
