"""Versions that are folders with a made-up answer for each image, so that nothing is computed."""

import errno
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import promote
import pytest
from data import LabelledImage, read_images, write_manifest
from predictions import Predictions

LABELS = ["karate", "soccer", "tennis"]


@pytest.fixture
def versions(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], Path, Path]:
    """Flags, the candidate (right for all images) and the served folder (always karate)."""
    staged, served = tmp_path / "staged" / "4", tmp_path / "served"
    for version in (staged, served / "3", served / "2"):
        version.mkdir(parents=True)
        (version / "saved_model.pb").touch()
    images = [LabelledImage(image.path, image.label, "validation") for image in read_images(folder)]
    write_manifest(tmp_path / "manifest.csv", images, folder)

    def predict(version: Path, files: Sequence[bytes], _description: str) -> Predictions:
        right = np.repeat([0, 1, 2], len(files) // 3)
        classes = right if version == staged else np.zeros(len(files), int)
        return Predictions(LABELS, np.eye(3)[classes], np.ones(len(files)))

    monkeypatch.setattr(promote, "predict_with_saved_model", predict)
    options = f"--candidate {staged} --served {served} --data {folder}"
    return [*options.split(), "--manifest", str(tmp_path / "manifest.csv")], staged, served


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["promote.py", *arguments])
    promote.main()


def test_both_are_shown_and_nothing_is_moved(
    versions: tuple[list[str], Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags, staged, served = versions
    run(flags, monkeypatch)
    shown = capsys.readouterr().out
    assert "| held out | 21 | 100.0% (" in shown
    assert f"Served {served / '3'}" in shown
    assert "| held out | 21 | 33.3% (" in shown
    assert "| held out | 0 | 14 | 0.000 | better |" in shown
    assert shown.strip().endswith("Nothing was moved; --yes serves the candidate.")
    assert staged.is_dir()
    assert {child.name for child in served.iterdir()} == {"2", "3"}


def test_the_candidate_is_moved_when_told_to(
    versions: tuple[list[str], Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags, staged, served = versions
    run([*flags, "--yes"], monkeypatch)
    assert (served / "4" / "saved_model.pb").is_file()
    assert not staged.exists()


def test_an_existing_version_is_not_replaced(
    versions: tuple[list[str], Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags, staged, served = versions
    (served / "4").mkdir()
    with pytest.raises(SystemExit, match="exists already"):
        run([*flags, "--yes"], monkeypatch)
    assert staged.is_dir()
    assert capsys.readouterr().out == ""


def test_a_folder_that_is_no_version(
    versions: tuple[list[str], Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags, staged, _ = versions
    (staged / "saved_model.pb").unlink()
    with pytest.raises(SystemExit, match="is not the folder of a version"):
        run(flags, monkeypatch)


def test_the_first_version_has_nothing_to_be_compared_with(
    versions: tuple[list[str], Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run([*versions[0], "--served", str(tmp_path / "empty"), "--yes"], monkeypatch)
    assert "Nothing is served" in capsys.readouterr().out
    assert (tmp_path / "empty" / "4").is_dir()


def test_a_version_on_another_file_system_appears_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "a" / "4", tmp_path / "b" / "4"
    source.mkdir(parents=True)
    (source / "saved_model.pb").write_text("graph")
    rename = Path.rename

    def across(path: Path, to: Path) -> Path:
        if path == source:
            raise OSError(errno.EXDEV, "cross-device link")
        assert (path / "saved_model.pb").read_text() == "graph"
        assert path.name.startswith(".")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", across)
    promote.move(source, target)
    assert (target / "saved_model.pb").read_text() == "graph"
    assert not source.exists()
    assert [child.name for child in target.parent.iterdir()] == ["4"]


def test_newest_version_counts_as_numbers(tmp_path: Path) -> None:
    assert promote.newest_version(tmp_path / "absent") is None
    for name in ("9", "10", ".11.unfinished", "notes"):
        (tmp_path / name).mkdir()
    assert promote.newest_version(tmp_path) == tmp_path / "10"
