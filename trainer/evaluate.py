"""How good is a model on pictures it was not trained on?

    python trainer/evaluate.py --data FOLDER --manifest runs/first/manifest.csv \\
        --saved-model model/sport-classification-model/3 --others FOLDER --card model/README.md

A running service can be asked through its API, too (--server http://localhost:9696); with
both, they have to agree. The card receives the numbers, and three plots beside it.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import plots
import requests
from data import DataError, Picture, labels_of, read
from disturbances import DISTURBANCES, disturb
from features import BATCH_SIZE
from scipy.stats import binomtest
from sklearn.metrics import (
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)
from tqdm import tqdm

from gateway.images import preprocess

PARALLEL_REQUESTS = 4
TIMEOUT = 60  # seconds
BINS = 15
AGREEMENT = 0.1  # of a probability; a server may compute in bfloat16, which was off by 0.07
MEASURED = re.compile(r"(<!-- measured -->\n).*(<!-- /measured -->)", re.DOTALL)
PLOTS = "measured.png"


@dataclass(frozen=True)
class Answers:
    """What a model says of N pictures.

    Attributes:
        labels: the C labels, sorted.
        probabilities: float [N, C].
        in_domain: float [N].
    """

    labels: list[str]
    probabilities: np.ndarray
    in_domain: np.ndarray

    @property
    def given(self) -> np.ndarray:
        """The number of the most probable label: int [N]."""
        top: np.ndarray = self.probabilities.argmax(1)
        return top


def ask_server(server: str, files: Sequence[bytes]) -> Answers:
    """Ask a running service.

    Raises:
        requests.RequestException: the service is away or refuses a picture.
    """

    def ask(file: bytes) -> dict[str, Any]:
        response = requests.post(
            f"{server.rstrip('/')}/v1/predictions", files={"image": file}, timeout=TIMEOUT
        )
        response.raise_for_status()
        (prediction,) = response.json()["predictions"]
        return prediction

    with ThreadPoolExecutor(PARALLEL_REQUESTS) as pool:
        answers = list(tqdm(pool.map(ask, files), total=len(files), desc=server))
    labels = sorted(answers[0]["probabilities"])
    return Answers(
        labels,
        np.array([[answer["probabilities"][label] for label in labels] for answer in answers]),
        np.array([answer["in_domain"] for answer in answers]),
    )


def ask_saved_model(folder: Path, files: Sequence[bytes], what: str = "SavedModel") -> Answers:
    """Ask a SavedModel, with TensorFlow's own runtime."""
    import tensorflow as tf  # not needed, and slow to load, when a server is asked

    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    outputs = []
    with ThreadPoolExecutor() as pool, tqdm(total=len(files), desc=what) as progress:
        pixels = pool.map(preprocess, files)
        while batch := list(islice(pixels, BATCH_SIZE)):
            outputs.append(serve(images=tf.constant(np.stack(batch))))
            progress.update(len(batch))
    names = [name.decode() for name in outputs[0]["labels"][0].numpy()]
    order = np.argsort(names)
    return Answers(
        sorted(names),
        np.concatenate([output["probabilities"] for output in outputs])[:, order],
        np.concatenate([output["in_domain"] for output in outputs]),
    )


def share(hits: int, count: int) -> str:
    """A share with its 95 % interval after Wilson (1927), as text."""
    interval = binomtest(hits, count).proportion_ci(method="wilson")
    return f"{hits / count:.1%} ({interval.low:.1%} to {interval.high:.1%})"


def calibration_error(probabilities: np.ndarray, hits: np.ndarray) -> float:
    """Expected calibration error (Guo et al. 2017) of the given labels, in BINS equal bins.

    Args:
        probabilities: float [N], of the given label.
        hits: bool [N], whether it is right.
    """
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    gaps = [
        abs(hits[bins == i].mean() - probabilities[bins == i].mean()) * (bins == i).mean()
        for i in np.unique(bins)
    ]
    return float(sum(gaps))


def per_label(answers: Answers, right: np.ndarray) -> str:
    """Precision, recall and F1 of each label and the confusion matrix, as Markdown."""
    numbers = range(len(answers.labels))
    table = confusion_matrix(right, answers.given, labels=numbers)
    precision, recall, f1, _ = precision_recall_fscore_support(
        right, answers.given, labels=numbers, zero_division=0
    )
    lines = [
        "| right \\ given | " + " | ".join(answers.labels) + " | recall | precision | F1 |",
        "| --- |" + " --- |" * (len(answers.labels) + 3),
    ]
    for i, label in enumerate(answers.labels):
        counts = " | ".join(map(str, table[i]))
        scores = f"{recall[i]:.1%} | {precision[i]:.1%} | {f1[i]:.3f}"
        lines.append(f"| {label} | {counts} | {scores} |")
    return "\n".join(lines)


def report(
    answers: Answers,
    right: np.ndarray,
    others: Answers | None = None,
    disturbed: dict[str, Answers] | None = None,
) -> str:
    """All that was measured, as Markdown.

    Args:
        answers: for N pictures.
        right: int [N], the number of each one's label.
        others: for pictures of none of the labels.
        disturbed: for the N pictures again, by what was done to them.
    """
    hits = answers.given == right
    top = answers.probabilities.max(1)
    kept = answers.in_domain >= 0.5
    lines = [
        f"- Accuracy on {len(right)} held-out pictures: **{share(int(hits.sum()), len(hits))}**.",
        f"- Expected calibration error ({BINS} bins): {calibration_error(top, hits):.3f}.",
        f"- Of these pictures `in_domain` refuses {share(int((~kept).sum()), len(kept))}.",
    ]
    if others is not None:
        auroc = roc_auc_score(
            np.repeat([1, 0], [len(kept), len(others.in_domain)]),
            np.concatenate([answers.in_domain, others.in_domain]),
        )
        refused = int((others.in_domain < 0.5).sum())
        lines += [
            f"- Against {len(others.in_domain)} pictures of other sports: AUROC {auroc:.3f}; "
            f"{share(refused, len(others.in_domain))} of them are refused.",
        ]
    lines += ["", per_label(answers, right)]
    if disturbed:
        lines += ["", "| disturbed | accuracy |", "| --- | --- |"]
        for name, given in disturbed.items():
            lines.append(f"| {name} | {share(int((given.given == right).sum()), len(right))} |")
    return "\n".join(lines)


def write_card(
    card: Path, text: str, answers: Answers, right: np.ndarray, others: Answers | None
) -> None:
    """Put text and plots between the card's marks.

    Raises:
        DataError: the card has no marks.
    """
    before = card.read_text()
    if not MEASURED.search(before):
        raise DataError(f"{card} has no <!-- measured --> to write to")
    hits, top = answers.given == right, answers.probabilities.max(1)
    roc = None
    if others is not None:
        scores = np.concatenate([answers.in_domain, others.in_domain])
        real = np.repeat([1, 0], [len(right), len(others.in_domain)])
        roc = roc_curve(real, scores)[:2]
    table = confusion_matrix(right, answers.given, labels=range(len(answers.labels)))
    plots.measured(card.with_name(PLOTS), answers.labels, table, top, hits, roc)
    image = f"![Confusion matrix, reliability diagram and ROC curve]({PLOTS})"
    card.write_text(
        MEASURED.sub(lambda found: f"{found[1]}\n{text}\n\n{image}\n\n{found[2]}", before)
    )


def agreement(first: Answers, second: Answers) -> str:
    """How far two ways to ask are apart, in words.

    Raises:
        DataError: further than AGREEMENT.
    """
    off = float(abs(first.probabilities - second.probabilities).max())
    same = int((first.given == second.given).sum())
    text = f"service and SavedModel: same label for {same} of {len(first.given)}, off by {off:.4f}"
    if off > AGREEMENT:
        raise DataError(text)
    return text


def contents(pictures: Iterable[Picture]) -> list[bytes]:
    return [picture.path.read_bytes() for picture in pictures]


def read_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="a folder in the Kaggle layout")
    add("--manifest", type=Path, required=True, help="the run folder's; says what was held out")
    add("--saved-model", type=Path)
    add("--server", help="a running service, as http://localhost:9696")
    add("--others", type=Path, help="a folder of pictures of other sports")
    add("--disturbed", action="store_true", help="disturb the pictures in several ways, too")
    add("--card", type=Path, help="the model card to write to")
    add("--contact-sheet", type=Path, help="where to show the worst mistakes; for your eyes")
    add("--json", type=Path, help="where to write each picture's probabilities")
    flags = parser.parse_args()
    if not (flags.saved_model or flags.server):
        parser.error("give --saved-model, --server or both")
    return flags


def evaluate(flags: argparse.Namespace) -> None:
    """Ask, print the report and write what the flags name.

    Raises:
        DataError, OSError, requests.RequestException
    """
    pictures = [p for p in read(flags.data, flags.manifest) if p.split == "validation"]
    labels = labels_of(pictures)
    right = np.array([labels.index(picture.label) for picture in pictures])
    files = contents(pictures)

    def ask(files: Sequence[bytes], what: str) -> Answers:
        if flags.saved_model:
            return ask_saved_model(flags.saved_model, files, what)
        return ask_server(flags.server, files)

    answers = ask(files, "held out")
    if answers.labels != labels:
        raise DataError(f"the model knows {answers.labels}, the pictures show {labels}")
    if flags.saved_model and flags.server:
        print(agreement(ask_server(flags.server, files), answers))
    others = None
    if flags.others:
        images = sorted(file for file in flags.others.rglob("*.jpg"))
        others = ask([file.read_bytes() for file in images], "others")
    disturbed = {}
    if flags.disturbed:
        for name in DISTURBANCES:
            disturbed[name] = ask([disturb(name, file) for file in files], name)
    text = report(answers, right, others, disturbed)
    print(text)
    if flags.card:
        write_card(flags.card, text, answers, right, others)
    if flags.contact_sheet:
        plots.contact_sheet(flags.contact_sheet, pictures, answers.labels, answers.probabilities)
    if flags.json:
        rows = {
            picture.path.name: dict(zip(answers.labels, map(float, row), strict=True))
            for picture, row in zip(pictures, answers.probabilities, strict=True)
        }
        flags.json.write_text(json.dumps(rows, indent=1) + "\n")


def main() -> None:
    try:
        evaluate(read_flags())
    except (DataError, OSError, requests.RequestException) as error:
        sys.exit(f"evaluate.py: {error}")


if __name__ == "__main__":
    main()
