"""What a run folder holds of a trained classifier: run.json, head.npz, a weights file per tower."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from network import backbone

MANIFEST = "manifest.csv"


@dataclass(frozen=True)
class Run:
    """A trained classifier.

    Attributes:
        labels: the sports it tells apart.
        outlier_labels: other sports, whose columns of the head stand behind the labels'.
        towers: backbones by name.
        kernel: float32 [F, labels + outlier labels], on the towers' features side by side.
        bias: float32 [labels + outlier labels].
        neighbours: float16 [M, F'], the first tower's features of the training pictures,
            each of length 1; a picture far from all of them shows something else.
    """

    labels: list[str]
    outlier_labels: list[str]
    towers: dict[str, keras.Model]
    kernel: np.ndarray
    bias: np.ndarray
    neighbours: np.ndarray


def weights_file(folder: Path, tower: str) -> Path:
    return folder / f"{tower}.weights.h5"


def save(folder: Path, run: Run, report: dict[str, Any]) -> None:
    """Write everything but the towers' weights; the report goes into run.json."""
    np.savez(folder / "head.npz", kernel=run.kernel, bias=run.bias, neighbours=run.neighbours)
    record = {
        "labels": run.labels,
        "outlier_labels": run.outlier_labels,
        "towers": list(run.towers),
        **report,
    }
    (folder / "run.json").write_text(json.dumps(record, indent=2) + "\n")


def load(folder: Path) -> Run:
    """Read a run.

    Raises:
        FileNotFoundError: part of it is missing.
    """
    record = json.loads((folder / "run.json").read_text())
    head = np.load(folder / "head.npz")
    towers = {name: backbone(name, str(weights_file(folder, name))) for name in record["towers"]}
    return Run(record["labels"], record["outlier_labels"], towers, **head)
