import numpy as np
import pytest
from evaluate import confusion, report, wilson

RIGHT = ["a", "a", "a", "b"]
GIVEN = ["a", "a", "b", "b"]


def test_confusion() -> None:
    assert confusion(RIGHT, GIVEN, ["a", "b"]).tolist() == [[2, 1], [0, 1]]


def test_wilson() -> None:
    low, high = wilson(81, 263)  # Newcombe 1998, table I
    assert low == pytest.approx(0.2553, abs=1e-4)
    assert high == pytest.approx(0.3662, abs=1e-4)


def test_report() -> None:
    text = report(confusion(RIGHT, GIVEN, ["a", "b"]), ["a", "b"])
    assert "Accuracy 75.00% (3 of 4;" in text
    assert "| a | 2 | 1 | 66.7% | 100.0% |" in text
    assert "| b | 0 | 1 | 100.0% | 50.0% |" in text


def test_a_label_nobody_gives() -> None:
    assert "| b | 0 | 0 | 0.0% | 0.0% |" in report(np.array([[1, 0], [0, 0]]), ["a", "b"])
