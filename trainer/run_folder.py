"""The files of a trained classifier: run.json, head.npz and a weights file per tower."""

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
        labels: the sports it distinguishes.
        outlier_labels: other sports; their columns of the head come after those of the labels.
        towers: backbones by name.
        kernel: float32 [F, labels + outlier labels], on the towers' concatenated features.
        bias: float32 [labels + outlier labels].
    """

    labels: list[str]
    outlier_labels: list[str]
    towers: dict[str, keras.Model]
    kernel: np.ndarray
    bias: np.ndarray


def weights_file(folder: Path, tower: str) -> Path:
    return folder / f"{tower}.weights.h5"


def save(folder: Path, run: Run, report: dict[str, Any]) -> None:
    """Write everything except the towers' weights; the report becomes part of run.json."""
    np.savez(folder / "head.npz", kernel=run.kernel, bias=run.bias)
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
    labels, outlier_labels = record["labels"], record["outlier_labels"]
    return Run(labels, outlier_labels, towers, head["kernel"], head["bias"])
