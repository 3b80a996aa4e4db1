"""Prometheus' text format, as far as the tests read it."""


def parse(text: str) -> dict[str, float]:
    """The value of each metric, by its name with labels."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}
