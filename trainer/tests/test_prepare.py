import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data import Picture, read
from PIL import Image
from prepare import main, near_duplicates, perceptual_hash, table

PREPARE = Path(__file__).parents[2] / "dataset" / "prepare.py"


def blots(seed: int) -> Image.Image:
    """A picture unlike that of any other seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((200, 200), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty pictures; then one that is broken, one there twice and one under two labels."""
    folder = tmp_path_factory.mktemp("data")
    pictures = folder / "train"
    pictures.mkdir()
    rows = []
    for i in range(20):
        blots(i).save(pictures / f"{i}.jpg", quality=90)
        rows.append((f"{i}.jpg", "Tennis" if i < 10 else "Soccer"))
    (pictures / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    blots(0).resize((150, 150)).save(pictures / "again.jpg", quality=60)
    blots(19).save(pictures / "other.jpg", quality=50)
    rows += [("broken.jpg", "Tennis"), ("again.jpg", "Tennis"), ("other.jpg", "Tennis")]
    with (folder / "train.csv").open("w", newline="") as out:
        csv.writer(out).writerows([("image_ID", "label"), *rows])
    return folder


@pytest.fixture(scope="module")
def prepared(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    manifest = tmp_path_factory.mktemp("made") / "manifest.csv"
    options = ["--data", folder, "--manifest", manifest, "--base-weights", "none"]
    run = subprocess.run(
        [sys.executable, str(PREPARE), *map(str, options)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return manifest, run.stdout


def test_what_is_broken_or_there_twice_is_dropped(folder: Path, prepared: tuple[Path, str]) -> None:
    manifest, said = prepared
    names = {picture.path.name for picture in read(folder, manifest)}
    assert names == {f"{i}.jpg" for i in range(19)}
    assert (
        "23 pictures: 1 unreadable, 1 near-duplicates, "
        "2 near-duplicates under two labels dropped; 19 kept"
    ) in said


def test_no_two_near_duplicates_stand_in_different_splits(
    folder: Path, prepared: tuple[Path, str]
) -> None:
    pictures = read(folder, prepared[0])
    assert {picture.split for picture in pictures} == {"train", "validation"}
    hashes = np.array([perceptual_hash(picture) for picture in pictures])
    assert near_duplicates(pictures, hashes) == (set(), set())


def test_near_duplicates() -> None:
    rng = np.random.default_rng(1)
    hashes = rng.random((5, 64)) < 0.5
    hashes[1] = hashes[0]
    hashes[1, :8] ^= True
    hashes[3] = hashes[2]
    hashes[4, :] = ~hashes[0]
    labels = ["tennis", "tennis", "karate", "soccer", "tennis"]
    pictures = [Picture(Path(f"{i}"), label) for i, label in enumerate(labels)]
    assert near_duplicates(pictures, hashes) == ({1}, {2, 3})


def test_the_table() -> None:
    pictures = [Picture(Path("a"), "karate", split) for split in ("train", "train", "validation")]
    assert "| karate | 2 | 1 |" in table(pictures)


def test_a_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["prepare.py", "--data", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"^prepare\.py: .*train\.csv is missing"):
        main()
