"""Whole jobs on Ray."""

from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed: make .venv/bulk/ready does it")

from conftest import SAMPLES
from results import errors, predictions

from sports_bulk.__main__ import main

# What the rows have besides the labels.
COLUMNS = (
    "row source label probability known in_domain model_version error detail fetch_seconds".split()
)

pytestmark = pytest.mark.usefixtures("ray_address")


def test_folder_of_300_images(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"

    main([str(images), str(output), "--rows-per-file=32"])

    rows = predictions(output)
    assert [row["row"] for row in rows] == list(range(300))
    assert [row["source"] for row in rows] == sorted(str(file) for file in images.rglob("*.jpg"))
    labels = [name for name in rows[0] if name not in COLUMNS]
    assert len(labels) == 7
    broken = {str(images / f"{i}/{i}50.jpg"): "unsupported-image" for i in range(3)}
    assert errors(output) == broken
    known: dict[int, dict[str, float]] = {}
    for row in rows:
        probabilities = {label: row[label] for label in labels}
        if row["source"] in broken:
            assert set(probabilities.values()) == {None}
            continue
        assert row["error"] is None
        assert row["probability"] == max(probabilities.values()) == row[row["label"]]
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-3)
        # Images repeat: each is predicted alike wherever it stands.
        sample = int(Path(row["source"]).stem) % len(SAMPLES)
        assert known.setdefault(sample, probabilities) == pytest.approx(probabilities, abs=1e-4)
    assert "297 classified, 3 failed" in capsys.readouterr().out
    assert "297 classified, 3 failed" in (output / "summary.txt").read_text()
    assert "data:image/jpeg;base64," in (output / "report.html").read_text()
