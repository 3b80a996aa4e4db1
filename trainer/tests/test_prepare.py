import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY
from data import LabelledImage, read_images
from kaggle_folder import blots, write_table
from prepare import main, near_duplicates, perceptual_hash, table

from gateway.feedback import FeedbackStore

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty images, a broken file, a near-duplicate, and one with a second label."""
    names = [(f"{i}.jpg", "Tennis" if i < 10 else "Soccer") for i in range(20)]
    names += [("broken.jpg", "Tennis"), ("again.jpg", "Tennis"), ("other.jpg", "Tennis")]
    folder = write_table(tmp_path_factory.mktemp("raw"), [("image_ID", "label"), *names])
    for i in range(20):
        blots(i).save(folder / "train" / f"{i}.jpg", quality=90)
    (folder / "train" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no image")
    blots(0).resize((150, 150)).save(folder / "train" / "again.jpg", quality=60)
    blots(19).save(folder / "train" / "other.jpg", quality=50)
    return folder


def run_prepare(folder: Path, manifest: Path, *more: object) -> None:
    options = ["--data", folder, "--manifest", manifest, "--base-weights", "none", *more]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prepare.TOWER", TINY)
        patch.setattr("sys.argv", ["prepare.py", *map(str, options)])
        main()


def test_drops_unreadable_images_and_near_duplicates(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "manifest.csv"
    run_prepare(raw, manifest)
    images = read_images(raw, manifest)
    assert {image.path.name for image in images} == {f"{i}.jpg" for i in range(19)}
    assert {image.split for image in images} == {"train", "validation"}
    hashes = np.array([perceptual_hash(image) for image in images])
    assert near_duplicates(images, hashes) == (set(), set())
    output = capsys.readouterr()
    assert (
        "23 images: 1 unreadable, 1 near-duplicates, "
        "2 near-duplicates with different labels dropped; 19 kept"
    ) in output.out
    assert "unreadable: broken.jpg" in output.err


@pytest.fixture
def feedback(tmp_path: Path) -> Iterator[FeedbackStore]:
    store = FeedbackStore(tmp_path / "feedback", 10_000_000)
    yield store
    store.close()


def give(store: FeedbackStore, number: int, label: str) -> None:
    file = io.BytesIO()
    blots(number).save(file, "JPEG")
    store.store(file.getvalue(), label, False, {}, float("inf"))


def test_feedback_is_used_unless_the_data_has_the_image(
    raw: Path, tmp_path: Path, feedback: FeedbackStore
) -> None:
    give(feedback, 0, "Soccer")  # in the data as tennis
    give(feedback, 30, "Soccer")
    give(feedback, 31, "Soccer")
    give(feedback, 31, "Tennis")  # people disagree
    manifest = tmp_path / "manifest.csv"
    run_prepare(raw, manifest, "--feedback", tmp_path / "feedback")
    found = read_images(raw, manifest)
    assert {image.path.name for image in found if image.path.parent.name == "train"} == {
        f"{i}.jpg" for i in range(19)
    }
    [added] = [image for image in found if image.path.parent.name != "train"]
    assert (added.path.parent.name, added.label) == ("Soccer", "soccer")


@pytest.mark.parametrize(("label", "reason"), [("golf", "'golf'"), (None, "no folder `labels`")])
def test_feedback_that_cannot_be_used(
    raw: Path, tmp_path: Path, feedback: FeedbackStore, label: str | None, reason: str
) -> None:
    if label:
        give(feedback, 30, label)
    with pytest.raises(SystemExit, match=rf"^prepare\.py: .*{reason}"):
        run_prepare(raw, tmp_path / "manifest.csv", "--feedback", tmp_path / "feedback")


def test_near_duplicates() -> None:
    rng = np.random.default_rng(1)
    hashes = rng.random((5, 64)) < 0.5
    hashes[1] = hashes[0]
    hashes[1, :8] ^= True
    hashes[3] = hashes[2]
    hashes[4, :] = ~hashes[0]
    labels = ["tennis", "tennis", "karate", "soccer", "tennis"]
    images = [LabelledImage(Path(f"{i}"), label) for i, label in enumerate(labels)]
    assert near_duplicates(images, hashes) == ({1}, {2, 3})


def test_table_of_counts() -> None:
    splits = ("train", "train", "validation")
    images = [LabelledImage(Path("a"), "karate", split) for split in splits]
    assert "| karate | 2 | 1 |" in table(images)


def test_a_missing_table_ends_with_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["prepare.py", "--data", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"^prepare\.py: .*neither train\.csv nor a folder"):
        main()
