"""The training notebook on the small tower: all steps from tuning to the report."""

import json
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
import pytest
from conftest import TINY
from data import held_out, read_images
from export import ExportError, compare
from notebook_runner import NOTEBOOKS, run_notebook
from run_folder import MANIFEST

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture(scope="module")
def notebook(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The notebook's variables."""
    runs = tmp_path_factory.mktemp("runs")
    return run_notebook("train_model", {"TOWER": TINY, "DATA": folder, "RUN_FOLDER": runs})


@pytest.fixture(scope="module")
def trained(notebook: dict[str, Any]) -> Path:
    folder: Path = notebook["trained"]
    return folder


@pytest.fixture(scope="module")
def version(notebook: dict[str, Any]) -> Path:
    folder: Path = notebook["version"]
    return folder


def test_a_saved_model_that_differs_from_keras_is_an_error(
    folder: Path, trained: Path, version: Path
) -> None:
    images = held_out(read_images(folder, trained / MANIFEST))
    with pytest.raises(ExportError, match="differs by"):
        compare(version, images, np.full((3, 3), 2.0))


def test_evaluation_writes_report_card_and_files(
    folder: Path,
    trained: Path,
    version: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    card, sheet, rows = (tmp_path / name for name in ("card.md", "sheet.png", "rows.json"))
    card.write_text("<!-- measured -->\n<!-- /measured -->\n")
    options = {
        "data": folder,
        "manifest": trained / MANIFEST,
        "saved-model": version,
        "further": folder,
        "others": folder / "train",
        "card": card,
        "contact-sheet": sheet,
        "json": rows,
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    monkeypatch.setattr("sys.argv", ["evaluate.py", *arguments, "--disturbed"])
    evaluate.main()
    report = capsys.readouterr().out
    assert report.startswith("- Accuracy on 3 held-out images: **")
    for row in (
        "held out | 3 |",
        f"{folder.name} | 21 |",
        "train | 21 |",
        "held out, greyscale | 3",
    ):
        assert f"| {row}" in report
    assert report.strip() in card.read_text()
    assert sheet.is_file()
    probabilities = json.loads(rows.read_text())
    assert len(probabilities) == 3
    for row in probabilities.values():
        assert sum(row.values()) == pytest.approx(1, abs=1e-5)


def test_the_notebook_of_predictions_is_stored_with_small_outputs() -> None:
    stored = (NOTEBOOKS / "prediction.ipynb").read_text()
    assert len(stored) < 150_000
    outputs = [output for cell in json.loads(stored)["cells"] for output in cell.get("outputs", [])]
    assert {output["output_type"] for output in outputs} == {"stream", "display_data"}
    assert "stderr" not in {output.get("name") for output in outputs}
