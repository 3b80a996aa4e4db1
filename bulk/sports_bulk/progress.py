"""How far a job is: its rate, the time left, and what it has cost so far."""

import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

SECONDS = 5.0  # between two lines


@dataclass
class Progress:
    """Prints a line every few seconds.

    Attributes:
        rows: of the whole job.
        done: rows that are done, now and in earlier runs.
        cost_per_hour: of all machines together; 0: not known.
    """

    rows: int
    done: int
    cost_per_hour: float = 0.0
    output: TextIO = sys.stderr
    _begun: float = field(default_factory=time.monotonic)
    _printed: float = field(default_factory=time.monotonic)
    _first: tuple[float, int] | None = None  # when the first part was done, and the rows then

    def add(self, rows: int) -> None:
        self.done += rows
        now = time.monotonic()
        self._first = self._first or (now, self.done)
        if now - self._printed >= SECONDS or self.done == self.rows:
            self._printed = now
            print(self.line(now), file=self.output, flush=True)

    def line(self, now: float) -> str:
        """For example: 1,280 of 50,000 (2.6 %), 41.0 images/s, 19 min 48 s left, 0.02 so far."""
        share = 100 * self.done / self.rows
        words = [f"{self.done:,} of {self.rows:,} ({share:.1f} %)"]
        if rate := self.rate(now):
            left = duration((self.rows - self.done) / rate)
            words += [f"{rate:.1f} images/s", f"{left} left"]
        if self.cost_per_hour:
            words.append(f"{self.cost(now):.2f} so far")
        return ", ".join(words)

    def rate(self, now: float) -> float:
        """Rows a second since the first part was done; 0 while it is not known."""
        start, rows = self._first or (now, self.done)
        return (self.done - rows) / (now - start) if now > start else 0.0

    def cost(self, now: float) -> float:
        return self.cost_per_hour * (now - self._begun) / 3600

    def seconds(self) -> float:
        return time.monotonic() - self._begun


def duration(seconds: float) -> str:
    """For example 3 h 20 min, 2 min 5 s, or 12 s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
