"""A model's inputs and outputs, read from the model itself.

Two kinds are supported. Ours takes uint8 `images` and returns `probabilities`,
`labels` and `in_domain`; a plain Keras export takes one float32 image and
returns one row of scores, whose labels come from the settings.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from gateway.errors import ModelFailed

PROBABILITIES, LABELS, IN_DOMAIN, HEATMAPS = "probabilities", "labels", "in_domain", "heatmaps"
IN_DOMAIN_BOUNDARY = 0.5  # from here up an image probably shows one of the labels
TOLERANCE = 1e-3  # of a sum of probabilities


@dataclass(frozen=True)
class TensorSpec:
    """What a model declares about an input or an output."""

    dtype: str  # NumPy's name, or "string"; empty: one that is not supported
    shape: tuple[int, ...]  # -1 or 0: any size


Tensors = Mapping[str, np.ndarray]  # float32, or object for strings, which are bytes


@dataclass(frozen=True)
class Prediction:
    """The model's answer about one image."""

    version: int
    probabilities: dict[str, float]
    in_domain: float | None  # 0 to 1; None: the model has no such output
    heatmap: list[list[float]] | None  # rows of values from 0 to 1; None: not requested

    @property
    def label(self) -> str:
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def known(self) -> bool | None:
        """Whether the image probably shows one of the labels; None: the model does not tell."""
        return None if self.in_domain is None else self.in_domain >= IN_DOMAIN_BOUNDARY


@dataclass(frozen=True)
class Signature:
    """The tensors of one version of a model."""

    version: int
    input: str
    dtype: str  # "uint8" or "float32"
    size: tuple[int, int]  # height, width
    output: str  # the scores
    outputs: tuple[str, ...]  # all that the model has
    labels: tuple[str, ...]  # empty: the model returns them
    explains: bool

    @classmethod
    def from_specs(
        cls,
        version: int,
        inputs: Mapping[str, TensorSpec],
        outputs: Mapping[str, TensorSpec],
        labels: tuple[str, ...],
        explains: bool,
    ) -> "Signature":
        """Find the image input and the scores among what a model declares.

        Args:
            labels: for a model that does not return them.
            explains: whether it can be asked for heat maps.

        Raises:
            ModelFailed: the model is not an image classifier, or its labels are missing.
        """
        name, spec = _image_input(inputs)
        if not (LABELS in outputs or labels):
            raise ModelFailed("The model has no labels of its own; GATEWAY_LABELS must name them.")
        return cls(
            version=version,
            input=name,
            dtype=spec.dtype,
            size=(spec.shape[1], spec.shape[2]),
            output=_scores_output(outputs),
            outputs=tuple(outputs),
            labels=() if LABELS in outputs else labels,
            explains=explains,
        )

    def parse_outputs(self, outputs: Tensors, count: int, version: int) -> list[Prediction]:
        """Read the predictions of `count` images from the outputs of this version.

        Raises:
            ModelFailed: an output is missing, has another shape, or holds no probabilities.
        """
        if self.output not in outputs:
            raise ModelFailed("The model's answer lacks an output.")
        rows = _floats(outputs[self.output])
        if rows.ndim != 2 or len(rows) != count:
            raise ModelFailed("The model's answer has another shape than its signature.")
        rows = _distributions(rows, from_logits=bool(self.labels))
        labels = [self.labels] * count if self.labels else _labels(outputs, rows.shape)
        if any(len(names) != rows.shape[1] for names in labels):
            raise ModelFailed("The model has another number of classes than GATEWAY_LABELS.")
        in_domain = _optional(outputs, IN_DOMAIN, (count,))
        heatmaps = _optional(outputs, HEATMAPS, (count, None, None))
        return [
            Prediction(
                version=version,
                probabilities=dict(zip(labels[i], rows[i].tolist(), strict=True)),
                in_domain=None if in_domain is None else float(in_domain[i]),
                heatmap=None if heatmaps is None else heatmaps[i].tolist(),
            )
            for i in range(count)
        ]


def _image_input(inputs: Mapping[str, TensorSpec]) -> tuple[str, TensorSpec]:
    if len(inputs) == 1:
        [(name, spec)] = inputs.items()
        shape, supported = spec.shape, spec.dtype in ("uint8", "float32")
        if supported and len(shape) == 4 and min(shape[1:3]) > 0 and shape[3] == 3:
            return name, spec
    raise ModelFailed("The model does not take one image, uint8 or float32 [N,height,width,3].")


def _scores_output(outputs: Mapping[str, TensorSpec]) -> str:
    if PROBABILITIES in outputs:
        return PROBABILITIES
    floats = [
        name for name, spec in outputs.items() if spec.dtype == "float32" and len(spec.shape) == 2
    ]
    if len(floats) != 1:
        raise ModelFailed("The model does not return one row of scores, float32 [N,classes].")
    return floats[0]


@contextmanager
def declared_shape() -> Iterator[None]:
    """Bring values into the shape that the model declares for them in this block.

    Raises:
        ModelFailed: NumPy raised ValueError, as there is another number of values.
    """
    try:
        yield
    except ValueError as error:
        raise ModelFailed("The model's answer does not have the shape that it declares.") from error


def _floats(values: np.ndarray) -> np.ndarray:
    if values.dtype != np.float32:
        raise ModelFailed("The model's answer has another type than its signature.")
    return values


def _labels(outputs: Tensors, shape: tuple[int, ...]) -> list[tuple[str, ...]]:
    rows = outputs.get(LABELS)
    if rows is None or rows.dtype != object or rows.shape != shape:
        raise ModelFailed("The model's labels do not match its probabilities.")
    return [tuple(name.decode(errors="replace") for name in row) for row in rows]


def _distributions(rows: np.ndarray, from_logits: bool) -> np.ndarray:
    """Check that each row is a distribution; logits, allowed of a plain export, become one."""
    rows = rows.astype(np.float64)
    if not np.isfinite(rows).all():
        raise ModelFailed("The model's answer holds numbers that are not probabilities.")
    normalized = (rows >= 0).all(axis=1) & (abs(rows.sum(axis=1) - 1) <= TOLERANCE)
    if not normalized.all():
        if not from_logits:
            raise ModelFailed("The model's answer holds numbers that are not probabilities.")
        powers = np.exp(rows - rows.max(axis=1, keepdims=True))
        rows = np.where(normalized[:, None], rows, powers / powers.sum(axis=1, keepdims=True))
    return rows


def _optional(outputs: Tensors, name: str, shape: tuple[int | None, ...]) -> np.ndarray | None:
    """An output that a model may leave out; None in `shape` stands for any size."""
    if name not in outputs:
        return None
    values = _floats(outputs[name])
    if values.ndim == len(shape) + 1 and values.shape[-1] == 1:
        values = values[..., 0]  # Triton and MLServer return [N,1] for [N]
    matches = values.ndim == len(shape) and all(
        expected in (None, size) for expected, size in zip(shape, values.shape, strict=True)
    )
    if not matches or not np.isfinite(values).all():
        raise ModelFailed(f"The model's {name!r} do not match its signature.")
    return values
