"""Tables in Markdown."""

from collections.abc import Iterable, Sequence
from statistics import median


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def median_and_range(values: Sequence[float], form: str = ".2f", unit: str = "") -> str:
    """Like "2.24 x (2.12 to 2.56)"; the median alone where there is one value."""
    text = f"{median(values):{form}}{unit}"
    if len(values) == 1:
        return text
    return f"{text} ({min(values):{form}} to {max(values):{form}})"
