import numpy as np
import pytest
from data import DataError
from image_sets import ImageSet
from predictions import Predictions
from summary import Judged, judge, paired_test, summary

LABELS = ["a", "b"]


def judged(name: str, of_b: list[float], in_domain: list[float], correct: str = "") -> Judged:
    predictions = Predictions(LABELS, np.array([[1 - p, p] for p in of_b]), np.array(in_domain))
    return Judged(name, predictions, np.array([LABELS.index(one) for one in correct]))


OWN = judged("own", [0.1, 0.2, 0.7, 0.9], [0.9, 0.8, 0.4, 0.7], "aaab")
OTHERS = Judged("others", judged("", [0.5, 0.5], [0.3, 0.75]).predictions, None)


def test_a_row_for_each_set() -> None:
    _, _, own, others = summary([OWN, OTHERS]).splitlines()
    assert own.startswith("| own | 4 | 75.0% (")
    assert "| a 66.7% | 0.275 | 25.0% (" in own
    assert own.endswith("| 0.750 |")  # of 8 pairs, 6 are in the right order
    assert others.startswith("| others | 2 |  |  |  | 50.0% (")


def test_without_other_sports() -> None:
    assert "AUROC" not in summary([OWN])


def test_right_means_rejected_for_other_sports() -> None:
    assert OWN.right.tolist() == [True, True, False, True]
    assert OTHERS.right.tolist() == [True, False]


def test_paired_test() -> None:
    first, second = np.repeat([True, False, True], [9, 6, 5]), np.repeat([False, True], [9, 11])
    only_first, only_second, chance = paired_test(first, second)
    assert (only_first, only_second) == (9, 6)
    assert chance == pytest.approx(0.6072, abs=1e-4)  # 2 * P(X <= 6), X ~ B(15, 1/2)
    assert paired_test(first, first) == (0, 0, 1.0)


def test_a_model_with_other_labels_cannot_be_judged() -> None:
    images = ImageSet("own", [], ["a", "c"], None)
    with pytest.raises(DataError, match="the model's labels are"):
        judge(images, OWN.predictions)
    own = judge(ImageSet("own", [], LABELS, OWN.classes), OWN.predictions)
    assert (own.name, own.right.tolist()) == ("own", OWN.right.tolist())
