"""The model alone: each variant of computing it, alternately, and the processor's peak."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from image_source import ImageSource
from services import OPERATIONS, PLAIN_EXPORT, ROOT, VERSION, make_plain_export, python
from tables import median_and_range, table

from model_server import precision

BATCHES = (1, 8, 32)
PLAIN, OURS = "plain Keras export, TensorFlow float32", "SavedModel, TensorFlow float32"
PRODUCT = "matrix product, "
PRODUCT_OPERATIONS = 2 * 2048**3  # float operations of the product in engine.py


@dataclass(frozen=True)
class Variant:
    """A way to compute the model.

    Attributes:
        name: what the tables call it.
        engine: what engine.py calls it.
        folder: of the SavedModel.
        environment: whose packages it needs.
    """

    name: str
    engine: str
    folder: Path = VERSION
    environment: str = "dev"


@dataclass
class Engine:
    """A variant that runs in a process of its own."""

    process: "subprocess.Popen[str]"
    load_seconds: float  # from its start to its first answer
    rates: dict[int, list[float]] = field(default_factory=dict)  # images a second, by batch size

    def rate(self, batch: int, seconds: float) -> float:
        """Images a second."""
        print(f"{batch} {seconds}", file=self.process.stdin, flush=True)
        return _read_answer(self.process)["rate"]


def variants() -> list[Variant]:
    bfloat16 = ("bfloat16",) if precision.has_bf16() else ()
    precisions = ("float32", *bfloat16)
    openvino = ("fp32", "bf16", "int8") if bfloat16 else ("fp32", "int8")
    return [
        Variant(PLAIN, "session float32", PLAIN_EXPORT / "1"),
        *(Variant(f"SavedModel, TensorFlow {p}", f"session {p}") for p in precisions),
        *(Variant(f"OpenVINO {p}", f"model_server {p}") for p in openvino),
        Variant("ONNX Runtime float32", "onnxruntime", environment="bench-onnxruntime"),
        *(Variant(PRODUCT + p, f"product {p}") for p in precisions),
    ]


@contextlib.contextmanager
def started(variant: Variant) -> Iterator[Engine]:
    """Load a variant in a process of its own."""
    program = (python(variant.environment), str(ROOT / "bench/engine.py"))
    with subprocess.Popen(
        [*program, variant.engine, str(variant.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield Engine(process, _read_answer(process)["seconds"])


def _read_answer(process: "subprocess.Popen[str]") -> dict[str, float]:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError(f"{process.args!r} has stopped")
    answer: dict[str, float] = json.loads(line)
    return answer


def measure(_source: ImageSource, seconds: float, rounds: int) -> dict[str, Engine]:
    make_plain_export()
    engines: dict[str, Engine] = {}
    with contextlib.ExitStack() as stack:
        for variant in variants():
            engine = stack.enter_context(started(variant))
            engines[variant.name] = engine
            print(f"{variant.name}: loaded in {engine.load_seconds:.1f} s", flush=True)
        for _ in range(rounds):
            for batch in BATCHES:
                for engine in engines.values():
                    engine.rates.setdefault(batch, []).append(engine.rate(batch, seconds))
    return engines


def report(engines: dict[str, Engine]) -> str:
    """Tables in Markdown."""
    operations = float(OPERATIONS.read_text())
    peaks = {
        name.removeprefix(PRODUCT): _products_a_second(engine) * PRODUCT_OPERATIONS
        for name, engine in engines.items()
        if name.startswith(PRODUCT)
    }
    rows = []
    for name, engine in engines.items():
        if not name.startswith(PRODUCT):
            rates = [median(engine.rates[batch]) for batch in BATCHES]
            peak = peaks.get(name.rpartition(" ")[2])
            share = f"{max(rates) * operations / peak:.0%}" if peak else ""
            seconds = f"{engine.load_seconds:.1f}"
            rows.append((name, *(f"{rate:.1f}" for rate in rates), share, seconds))
    batches = [f"batch {batch}" for batch in BATCHES]
    head = ("images a second", *batches, "share of the peak", "seconds to load")
    speeds = ", ".join(f"{peak / 1e9:.0f} GFLOP/s in {name}" for name, peak in peaks.items())
    return "\n\n".join(
        [
            "## The model alone",
            f"One image takes {operations / 1e9:.1f} GFLOP. The peak is the speed of a product of "
            f"2048 x 2048 matrices in TensorFlow: {speeds}. The seconds to load of OpenVINO "
            "include all that the model server does before it answers, with its warm-up; those of "
            "TensorFlow one signature; those of ONNX Runtime the conversion.",
            table(head, rows),
        ]
    )


def _products_a_second(engine: Engine) -> float:
    """engine.py computes one product for a batch of any size."""
    return max(max(rates) / batch for batch, rates in engine.rates.items())


def summary(engines: dict[str, Engine]) -> list[tuple[str, str]]:
    """What the table says, in a line each."""
    plain, ours = engines[PLAIN], engines[OURS]
    rows = []
    for batch in BATCHES:
        ratios = [a / b for a, b in zip(ours.rates[batch], plain.rates[batch], strict=True)]
        label = f"our SavedModel relative to the plain export, float32, batch {batch}"
        rows.append((label, median_and_range(ratios, unit=" x")))
    seconds = f"{ours.load_seconds:.1f} and {plain.load_seconds:.1f}"
    return [*rows, ("seconds to load, our SavedModel and the plain export", seconds)]
