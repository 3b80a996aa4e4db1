"""The moving average of a model's weights, which generalises better than the last step's."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np

MOMENTUM = 0.998


class WeightAverage(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """An exponential moving average over the steps (Polyak and Juditsky 1992)."""

    def __init__(self, model: keras.Model, momentum: float = MOMENTUM) -> None:
        super().__init__()
        self._trained, self._momentum, self._steps = model, momentum, 0
        self._averages = self._values()

    def on_train_batch_end(self, *_: object, **__: object) -> None:
        self._steps += 1  # the first steps count more, or the start would linger
        share = max(1 - self._momentum, 1 / (10 + self._steps))
        for average, value in zip(self._averages, self._values(), strict=True):
            average += share * (value - average)

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """The model has the averages as its weights in this context."""
        values = self._values()
        self._assign(self._averages)
        try:
            yield
        finally:
            self._assign(values)

    def save(self, file: Path) -> None:
        np.savez(file, *self._averages, steps=self._steps)

    def load(self, file: Path) -> None:
        stored = np.load(file)
        self._steps = int(stored["steps"])
        self._averages = [stored[f"arr_{i}"] for i in range(len(self._averages))]

    def _values(self) -> list[np.ndarray]:
        weights = self._trained.trainable_variables
        return [keras.ops.convert_to_numpy(weight).copy() for weight in weights]

    def _assign(self, values: list[np.ndarray]) -> None:
        for weight, value in zip(self._trained.trainable_variables, values, strict=True):
            weight.assign(value)
