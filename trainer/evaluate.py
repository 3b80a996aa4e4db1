"""How good is a model on pictures it was not trained on?

    python trainer/evaluate.py --split runs/first/split.csv --data FOLDER \\
        (--server http://localhost:9696 | --saved-model model/sport-classification-model/1)

A server is asked through the gateway's public API, POST /predict?show_probability=true.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import requests
from data import DataError, Picture, labels_of, load, read_split
from tqdm import tqdm

SIZE = 299
BATCH_SIZE = 32
PARALLEL_REQUESTS = 4
TIMEOUT = 60  # seconds
Z95 = 1.96


def ask_server(server: str, pictures: Sequence[Picture]) -> list[dict[str, float]]:
    """Each picture's probabilities, from a running service.

    Raises:
        requests.RequestException: the service is away or refuses a picture.
    """

    def ask(picture: Picture) -> dict[str, float]:
        response = requests.post(
            f"{server.rstrip('/')}/predict",
            params={"show_probability": "true"},
            files={"image": picture.path.read_bytes()},
            timeout=TIMEOUT,
        )
        response.raise_for_status()
        answer: dict[str, float] = response.json()
        return answer

    with ThreadPoolExecutor(PARALLEL_REQUESTS) as pool:
        return list(tqdm(pool.map(ask, pictures), total=len(pictures), unit="picture"))


def ask_saved_model(folder: Path, pictures: Sequence[Picture]) -> list[dict[str, float]]:
    """Each picture's probabilities, straight from a SavedModel."""
    import tensorflow as tf  # not needed, and slow to load, when a server is asked

    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    answers = []
    progress = tqdm(total=len(pictures), unit="picture")
    for images in load(pictures, SIZE, BATCH_SIZE):
        outputs = serve(images=tf.constant(images))
        rows = zip(outputs["labels"].numpy(), outputs["probabilities"].numpy(), strict=True)
        answers += [
            {name.decode(): float(p) for name, p in zip(names, row, strict=True)}
            for names, row in rows
        ]
        progress.update(len(images))
    progress.close()
    return answers


def confusion(right: Sequence[str], given: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """int [L, L]: row by right label, column by given label."""
    table = np.zeros((len(labels), len(labels)), int)
    for row, column in zip(right, given, strict=True):
        table[labels.index(row), labels.index(column)] += 1
    return table


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share, after Wilson (1927)."""
    share, z2 = hits / count, Z95**2
    middle = share + z2 / (2 * count)
    reach = Z95 * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return (middle - reach) / (1 + z2 / count), (middle + reach) / (1 + z2 / count)


def report(table: np.ndarray, labels: Sequence[str]) -> str:
    """Accuracy, recall and precision of each label, and the confusion matrix, as Markdown."""
    hits, count = int(table.trace()), int(table.sum())
    low, high = wilson(hits, count)
    lines = [
        f"Accuracy {hits / count:.2%} ({hits} of {count}; 95 % interval {low:.1%} to {high:.1%})",
        "",
        "| right \\ given | " + " | ".join(labels) + " | recall | precision |",
        "| --- |" + " --- |" * (len(labels) + 2),
    ]
    for i, label in enumerate(labels):
        recall = table[i, i] / max(table[i].sum(), 1)
        precision = table[i, i] / max(table[:, i].sum(), 1)
        counts = " | ".join(map(str, table[i]))
        lines.append(f"| {label} | {counts} | {recall:.1%} | {precision:.1%} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--split", type=Path, required=True, help="the split.csv of the run folder")
    parser.add_argument("--data", type=Path, required=True)
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--server", help="a running service, as http://localhost:9696")
    asked.add_argument("--saved-model", type=Path)
    flags = parser.parse_args()
    try:
        pictures = [p for p in read_split(flags.split, flags.data) if p.split == "validation"]
        if flags.server:
            answers = ask_server(flags.server, pictures)
        else:
            answers = ask_saved_model(flags.saved_model, pictures)
    except (DataError, OSError, requests.RequestException) as error:
        sys.exit(f"evaluate.py: {error}")
    labels = labels_of(pictures)
    given = [max(answer, key=answer.__getitem__) for answer in answers]
    print(report(confusion([p.label for p in pictures], given, labels), labels))


if __name__ == "__main__":
    main()
