"""Server-side batching: the requests that wait are computed together."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from model_server.batching_parameters import BatchingParameters
from model_server.errors import DeadlineExceeded, InvalidArgument, Unavailable
from model_server.networks import Arrays, Infer

# More at once need more memory, and on a few processors are hardly faster.
ROWS_AT_ONCE = 4


@dataclass(eq=False)
class Task:
    """A call that waits for its outputs."""

    inputs: Arrays
    rows: int
    enqueued: float = field(default_factory=time.monotonic)
    outputs: dict[str, np.ndarray] | None = None
    error: Exception | None = None

    @property
    def is_done(self) -> bool:
        return self.outputs is not None or self.error is not None


class Queue:
    """Computes the calls that wait, in batches if it has parameters for them.

    It has no threads of its own: the call at the head of the queue computes the batch of those
    that wait behind it, in its own thread.
    """

    def __init__(self, infer: Infer, parameters: BatchingParameters | None = None) -> None:
        self._infer, self._parameters = infer, parameters
        self._threads = parameters.num_batch_threads if parameters else 1
        self._waiting: deque[Task] = deque()
        self._changed = threading.Condition()
        self._computing = 0  # batches

    def run(self, inputs: Arrays, deadline: float) -> dict[str, np.ndarray]:
        """The outputs for these inputs.

        Args:
            inputs: of the same number of rows, if there are parameters for batches.
            deadline: when to stop waiting, on time.monotonic's clock.

        Raises:
            InvalidArgument: there are more rows than a batch may have.
            Unavailable: too many calls wait.
            DeadlineExceeded: it was not computed in time.
        """
        task = Task(inputs, len(next(iter(inputs.values()))) if self._parameters else 1)
        with self._changed:
            self._enqueue(task)
            batch = self._wait(task, deadline)
        if batch:
            self._compute(batch)
        if task.error:
            raise task.error
        assert task.outputs is not None
        return task.outputs

    def _enqueue(self, task: Task) -> None:
        if limits := self._parameters:
            if task.rows > limits.max_batch_size:
                raise InvalidArgument(
                    f"Task size {task.rows} is larger than maximum input batch size "
                    f"{limits.max_batch_size}"
                )
            waiting = task.rows + sum(other.rows for other in self._waiting)
            if waiting > limits.max_enqueued_batches * limits.max_batch_size:
                raise Unavailable(
                    "The batch scheduling queue to which this task was submitted is full"
                )
        self._waiting.append(task)
        self._changed.notify_all()  # the batch of the first may be complete now

    def _wait(self, task: Task, deadline: float) -> list[Task]:
        """Wait until the task is done, or is to be computed; the batch to compute, if any."""
        while not task.is_done:
            pause = deadline - time.monotonic()
            if task in self._waiting:
                if pause <= 0:
                    self._waiting.remove(task)
                    self._changed.notify_all()
                    raise DeadlineExceeded("Deadline exceeded in the queue")
                if task is self._waiting[0] and self._computing < self._threads:
                    delay = self._delay()
                    if delay <= 0:
                        self._computing += 1
                        return self._take_batch()
                    pause = min(pause, delay)
                self._changed.wait(min(pause, threading.TIMEOUT_MAX))
            else:
                self._changed.wait()
        return []

    def _delay(self) -> float:
        """Seconds that the batch of the first task may still wait for others."""
        if self._parameters is None:
            return 0
        if sum(task.rows for task in self._waiting) >= self._parameters.max_batch_size:
            return 0
        timeout = self._parameters.batch_timeout_micros / 1e6
        return self._waiting[0].enqueued + timeout - time.monotonic()

    def _take_batch(self) -> list[Task]:
        batch = [self._waiting.popleft()]
        if self._parameters:
            rows = batch[0].rows
            limit = min(self._parameters.max_batch_size, ROWS_AT_ONCE)
            while self._waiting and rows + self._waiting[0].rows <= limit:
                batch.append(self._waiting.popleft())
                rows += batch[-1].rows
        return batch

    def _compute(self, batch: Sequence[Task]) -> None:
        try:
            results = self._results(batch)
            for task, outputs in zip(batch, results, strict=True):
                task.outputs = outputs
        except Exception as error:
            for task in batch:
                task.error = error
        finally:
            with self._changed:
                self._computing -= 1
                self._changed.notify_all()

    def _results(self, batch: Sequence[Task]) -> list[dict[str, np.ndarray]]:
        if self._parameters is None:
            return [self._infer(batch[0].inputs)]
        rows = sum(task.rows for task in batch)
        padding = self._parameters.padded_size(rows) - rows
        merged = {}
        for name in batch[0].inputs:
            arrays = [task.inputs[name] for task in batch]
            merged[name] = np.concatenate([*arrays, *[arrays[-1][-1:]] * padding])
        outputs = compute_in_parts(self._infer, merged)
        ends = np.cumsum([task.rows for task in batch])
        return [
            {name: rows[end - task.rows : end] for name, rows in outputs.items()}
            for task, end in zip(batch, ends, strict=True)
        ]


def compute_in_parts(infer: Infer, inputs: Arrays) -> dict[str, np.ndarray]:
    """Compute outputs for a few rows of the inputs at a time."""
    rows = len(next(iter(inputs.values())))
    parts = [
        infer({name: array[start : start + ROWS_AT_ONCE] for name, array in inputs.items()})
        for start in range(0, rows, ROWS_AT_ONCE)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
