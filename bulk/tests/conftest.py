"""A Ray of two processors and folders of images for the tests of jobs."""

import os
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
    # With its own, 15, a test takes minutes on a busy machine.
    os.environ.update({"RAY_worker_niceness": "0"})
    for _ in range(5):  # Ray gives up after 30 s, which a busy machine can need
        try:
            context = ray.init(
                num_cpus=2,
                object_store_memory=200_000_000,
                include_dashboard=False,
                log_to_driver=False,
                _node_ip_address="127.0.0.1",
            )
            break
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
            ray.shutdown()
    else:
        pytest.fail("Ray does not start")
    yield context.address_info["gcs_address"]
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
