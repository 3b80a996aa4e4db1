"""What a SavedModel takes and gives, read from the model itself.

Two kinds are understood. Ours takes uint8 `images` and gives `probabilities`,
`labels` and `in_domain`; a plain Keras export takes one float32 picture and
gives one row of numbers, whose labels come from the settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gateway import tf_serving_pb2 as tf
from gateway.errors import ModelFailed

SERVING_DEFAULT, EXPLAIN = "serving_default", "explain"
PROBABILITIES, LABELS, IN_DOMAIN, HEATMAPS = "probabilities", "labels", "in_domain", "heatmaps"
TOLERANCE = 1e-3  # of a sum of probabilities


@dataclass(frozen=True)
class Prediction:
    """What the model says of one picture."""

    version: int
    probabilities: dict[str, float]
    in_domain: float | None  # from 0.5 up, probably one of the labels; None: the model does not say
    heatmap: list[list[float]] | None  # rows of values from 0 to 1; None: not asked for

    @property
    def label(self) -> str:
        return max(self.probabilities, key=self.probabilities.__getitem__)


@dataclass(frozen=True)
class Signature:
    """The tensors of one version of a model."""

    version: int
    input: str
    dtype: tf.DataType
    size: tuple[int, int]  # height, width
    output: str
    labels: tuple[str, ...]  # empty: the model sends them
    explains: bool

    @property
    def takes_float(self) -> bool:
        return self.dtype == tf.DT_FLOAT

    @classmethod
    def from_metadata(
        cls, metadata: tf.GetModelMetadataResponse, labels: tuple[str, ...]
    ) -> "Signature":
        """Understand GetModelMetadata's answer.

        Raises:
            ModelFailed: this is no image classifier, or its labels are missing.
        """
        packed = metadata.metadata["signature_def"].value
        signatures = tf.SignatureDefMap.FromString(packed).signature_def
        if SERVING_DEFAULT not in signatures:
            raise ModelFailed(f"The model has no signature {SERVING_DEFAULT!r}.")
        signature = signatures[SERVING_DEFAULT]
        name, info = _image_input(signature)
        brings_labels = LABELS in signature.outputs
        if not (brings_labels or labels):
            raise ModelFailed("The model brings no labels; GATEWAY_LABELS has to name them.")
        return cls(
            version=metadata.model_spec.version.value,
            input=name,
            dtype=info.dtype,
            size=(info.tensor_shape.dim[1].size, info.tensor_shape.dim[2].size),
            output=_scores_output(signature),
            labels=() if brings_labels else labels,
            explains=EXPLAIN in signatures,
        )

    def read(self, response: tf.PredictResponse, count: int) -> list[Prediction]:
        """Understand Predict's answer about `count` pictures.

        OpenVINO Model Server does not say which version answered; then it is the signature's.

        Raises:
            ModelFailed: an output is missing, has another shape, or holds no probabilities.
        """
        outputs = response.outputs
        if self.output not in outputs:
            raise ModelFailed("The model's answer lacks an output.")
        rows = _floats(outputs[self.output])
        if rows.ndim != 2 or len(rows) != count:
            raise ModelFailed("The model's answer has another shape than its signature.")
        rows = _distributions(rows, from_logits=bool(self.labels))
        labels = [self.labels] * count if self.labels else _labels(outputs[LABELS], rows.shape)
        if any(len(names) != rows.shape[1] for names in labels):
            raise ModelFailed("The model has another number of classes than GATEWAY_LABELS.")
        in_domain = _optional(outputs, IN_DOMAIN, (count,))
        heatmaps = _optional(outputs, HEATMAPS, (count, None, None))
        return [
            Prediction(
                version=response.model_spec.version.value or self.version,
                probabilities=dict(zip(labels[i], rows[i].tolist(), strict=True)),
                in_domain=None if in_domain is None else float(in_domain[i]),
                heatmap=None if heatmaps is None else heatmaps[i].tolist(),
            )
            for i in range(count)
        ]


def _image_input(signature: tf.SignatureDef) -> tuple[str, tf.TensorInfo]:
    if len(signature.inputs) == 1:
        [(name, info)] = signature.inputs.items()
        sizes = [dim.size for dim in info.tensor_shape.dim]
        known = info.dtype in (tf.DT_UINT8, tf.DT_FLOAT)
        if known and len(sizes) == 4 and min(sizes[1:3]) > 0 and sizes[3] == 3:
            return name, info
    raise ModelFailed("The model does not take one picture, uint8 or float32 [N,height,width,3].")


def _scores_output(signature: tf.SignatureDef) -> str:
    if PROBABILITIES in signature.outputs:
        return PROBABILITIES
    floats = [
        name
        for name, info in signature.outputs.items()
        if info.dtype == tf.DT_FLOAT and len(info.tensor_shape.dim) == 2
    ]
    if len(floats) != 1:
        raise ModelFailed("The model does not give one row of numbers, float32 [N,classes].")
    return floats[0]


def _shape(tensor: tf.TensorProto) -> tuple[int, ...]:
    return tuple(dim.size for dim in tensor.tensor_shape.dim)


def _floats(tensor: tf.TensorProto) -> np.ndarray:
    if tensor.dtype != tf.DT_FLOAT:
        raise ModelFailed("The model's answer has another type than its signature.")
    if tensor.tensor_content:
        values = np.frombuffer(tensor.tensor_content, "<f4")
    else:
        values = np.array(tensor.float_val, np.float32)
    try:
        return values.reshape(_shape(tensor))
    except ValueError as error:
        raise ModelFailed("The model's answer has another shape than it says.") from error


def _labels(tensor: tf.TensorProto, shape: tuple[int, ...]) -> list[tuple[str, ...]]:
    if _shape(tensor) != shape or len(tensor.string_val) != shape[0] * shape[1]:
        raise ModelFailed("The model's labels do not match its probabilities.")
    words = [word.decode(errors="replace") for word in tensor.string_val]
    return [tuple(words[row * shape[1] : (row + 1) * shape[1]]) for row in range(shape[0])]


def _distributions(rows: np.ndarray, from_logits: bool) -> np.ndarray:
    """Check that each row is a distribution; a plain export may end in logits, which become one."""
    rows = rows.astype(np.float64)
    if not np.isfinite(rows).all():
        raise ModelFailed("The model's answer holds numbers that are no probabilities.")
    proper = (rows >= 0).all(axis=1) & (abs(rows.sum(axis=1) - 1) <= TOLERANCE)
    if not proper.all():
        if not from_logits:
            raise ModelFailed("The model's answer holds numbers that are no probabilities.")
        powers = np.exp(rows - rows.max(axis=1, keepdims=True))
        rows = np.where(proper[:, None], rows, powers / powers.sum(axis=1, keepdims=True))
    return rows


def _optional(
    outputs: Mapping[str, tf.TensorProto], name: str, shape: tuple[int | None, ...]
) -> np.ndarray | None:
    """An output that a model may leave out; None in `shape` stands for any size."""
    if name not in outputs:
        return None
    values = _floats(outputs[name])
    matches = values.ndim == len(shape) and all(
        wanted in (None, size) for wanted, size in zip(shape, values.shape, strict=True)
    )
    if not matches or not np.isfinite(values).all():
        raise ModelFailed(f"The model's {name!r} are not what its signature says.")
    return values
