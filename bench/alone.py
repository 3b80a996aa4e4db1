"""The model alone: every way to compute it, in turns, beside the peak of a matrix product."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from pictures import Source
from services import OPERATIONS, PLAIN, ROOT, VERSION, python
from tables import table

from model_server import processor

BATCHES = (1, 8, 32)
PLAIN_EXPORT, OURS = "plain Keras export, TensorFlow float32", "SavedModel, TensorFlow float32"
PRODUCT = "matrix product, "
PRODUCT_OPERATIONS = 2 * 2048**3  # what engine.py multiplies


@dataclass(frozen=True)
class Way:
    """A way to compute the model: what engine.py calls it, of which files, in which environment."""

    name: str
    way: str
    folder: Path = VERSION
    environment: str = "server"


@dataclass
class Engine:
    """A way that runs, in a process of its own."""

    process: "subprocess.Popen[str]"
    seconds: float  # from its start to its first answer
    rates: dict[int, list[float]] = field(default_factory=dict)

    def rate(self, batch: int, seconds: float) -> float:
        """Images a second."""
        return float(_say(self.process, f"{batch} {seconds}")["rate"])


def ways() -> list[Way]:
    able = processor.BFLOAT16_FLAGS & processor.flags()
    precisions = ("float32", "bfloat16") if able else ("float32",)
    return [
        Way(PLAIN_EXPORT, "session float32", PLAIN / "1"),
        *(Way(f"SavedModel, TensorFlow {p}", f"session {p}") for p in precisions),
        *(Way(f"OpenVINO {p}", f"engine openvino {p}") for p in precisions),
        Way("OpenVINO int8", "engine openvino-int8"),
        Way("ONNX Runtime float32", "onnxruntime", environment="bench-onnxruntime"),
        *(Way(PRODUCT + p, f"product {p}") for p in precisions),
    ]


@contextlib.contextmanager
def started(way: Way) -> Iterator[Engine]:
    """Load it in a process of its own."""
    command = [python(way.environment), str(ROOT / "bench/engine.py"), way.way, str(way.folder)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield Engine(process, float(_say(process, "")["seconds"]))


def _say(process: "subprocess.Popen[str]", line: str) -> dict[str, float]:
    sent, given = process.stdin, process.stdout
    if line and sent:
        print(line, file=sent, flush=True)
    answer: dict[str, float] = json.loads(given.readline() or "{}") if given else {}
    if not answer:
        raise RuntimeError(f"{process.args} has stopped")
    return answer


def measure(_: Source, seconds: float, rounds: int) -> dict[str, Engine]:
    engines: dict[str, Engine] = {}
    with contextlib.ExitStack() as stack:
        for way in ways():
            engines[way.name] = stack.enter_context(started(way))
            print(f"{way.name}: loaded in {engines[way.name].seconds:.1f} s", flush=True)
        for _ in range(rounds):
            for batch in BATCHES:
                for engine in engines.values():
                    engine.rates.setdefault(batch, []).append(engine.rate(batch, seconds))
    return engines


def text(engines: dict[str, Engine]) -> str:
    """Tables in Markdown."""
    operations = float(OPERATIONS.read_text())
    peaks = {
        name.removeprefix(PRODUCT): _products(engine) * PRODUCT_OPERATIONS
        for name, engine in engines.items()
        if name.startswith(PRODUCT)
    }
    rows = []
    for name, engine in engines.items():
        if not name.startswith(PRODUCT):
            rates = [median(engine.rates[batch]) for batch in BATCHES]
            peak = peaks.get(name.rpartition(" ")[2])
            share = f"{max(rates) * operations / peak:.0%}" if peak else ""
            rows.append((name, *(f"{rate:.1f}" for rate in rates), share, f"{engine.seconds:.1f}"))
    head = ("images a second", *(f"batch {b}" for b in BATCHES), "of the peak", "seconds to load")
    told = ", ".join(f"{peak / 1e9:.0f} GFLOP/s in {name}" for name, peak in peaks.items())
    return "\n\n".join(
        [
            "## The model alone",
            f"An image takes {operations / 1e9:.1f} GFLOP. The peak is what a product of matrices "
            f"of 2048 x 2048 reaches in TensorFlow: {told}. OpenVINO's seconds hold all that "
            "the model server does before it answers, warm-up included; TensorFlow's one "
            "signature; ONNX Runtime's the conversion.",
            table(head, rows),
        ]
    )


def _products(engine: Engine) -> float:
    """A second; whatever the batch, engine.py computes one product for it."""
    return max(max(rates) / batch for batch, rates in engine.rates.items())


def summary(engines: dict[str, Engine]) -> list[tuple[str, str]]:
    """What the table says, in a line each."""
    plain, ours = engines[PLAIN_EXPORT], engines[OURS]
    rows = []
    for batch in BATCHES:
        ratios = [a / b for a, b in zip(ours.rates[batch], plain.rates[batch], strict=True)]
        rows.append(
            (
                f"our SavedModel to the plain export, float32, batch {batch}",
                f"{median(ratios):.2f} x ({min(ratios):.2f} to {max(ratios):.2f})",
            )
        )
    rows.append(("seconds to load, the same", f"{ours.seconds:.1f} and {plain.seconds:.1f}"))
    return rows
