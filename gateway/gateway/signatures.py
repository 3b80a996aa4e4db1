"""A model's inputs and outputs, read from the model itself.

Two kinds are supported. Ours takes uint8 `images` and returns `probabilities`,
`labels` and `in_domain`; a plain Keras export takes one float32 image and
returns one row of scores, whose labels come from the settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gateway.errors import ModelFailed
from tf_serving import api_pb2 as tf

SERVING_DEFAULT, EXPLAIN = "serving_default", "explain"
PROBABILITIES, LABELS, IN_DOMAIN, HEATMAPS = "probabilities", "labels", "in_domain", "heatmaps"
IN_DOMAIN_BOUNDARY = 0.5  # from here up an image probably shows one of the labels
TOLERANCE = 1e-3  # of a sum of probabilities


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
    dtype: tf.DataType
    size: tuple[int, int]  # height, width
    output: str
    labels: tuple[str, ...]  # empty: the model returns them
    explains: bool

    @property
    def takes_float(self) -> bool:
        return self.dtype == tf.DT_FLOAT

    @classmethod
    def from_metadata(
        cls, metadata: tf.GetModelMetadataResponse, labels: tuple[str, ...]
    ) -> "Signature":
        """Read the signature from a GetModelMetadata response.

        Raises:
            ModelFailed: the model is not an image classifier, or its labels are missing.
        """
        packed = metadata.metadata["signature_def"].value
        signatures = tf.SignatureDefMap.FromString(packed).signature_def
        if SERVING_DEFAULT not in signatures:
            raise ModelFailed(f"The model has no signature {SERVING_DEFAULT!r}.")
        signature = signatures[SERVING_DEFAULT]
        name, info = _image_input(signature)
        has_labels = LABELS in signature.outputs
        if not (has_labels or labels):
            raise ModelFailed("The model has no labels of its own; GATEWAY_LABELS must name them.")
        return cls(
            version=metadata.model_spec.version.value,
            input=name,
            dtype=info.dtype,
            size=(info.tensor_shape.dim[1].size, info.tensor_shape.dim[2].size),
            output=_scores_output(signature),
            labels=() if has_labels else labels,
            explains=EXPLAIN in signatures,
        )

    def parse_response(self, response: tf.PredictResponse, count: int) -> list[Prediction]:
        """Read the predictions of `count` images.

        A response that does not name its version (OpenVINO Model Server's) gets the signature's.

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
        supported = info.dtype in (tf.DT_UINT8, tf.DT_FLOAT)
        if supported and len(sizes) == 4 and min(sizes[1:3]) > 0 and sizes[3] == 3:
            return name, info
    raise ModelFailed("The model does not take one image, uint8 or float32 [N,height,width,3].")


def _scores_output(signature: tf.SignatureDef) -> str:
    if PROBABILITIES in signature.outputs:
        return PROBABILITIES
    floats = [
        name
        for name, info in signature.outputs.items()
        if info.dtype == tf.DT_FLOAT and len(info.tensor_shape.dim) == 2
    ]
    if len(floats) != 1:
        raise ModelFailed("The model does not return one row of scores, float32 [N,classes].")
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
        raise ModelFailed("The model's answer does not have the shape that it declares.") from error


def _labels(tensor: tf.TensorProto, shape: tuple[int, ...]) -> list[tuple[str, ...]]:
    if _shape(tensor) != shape or len(tensor.string_val) != shape[0] * shape[1]:
        raise ModelFailed("The model's labels do not match its probabilities.")
    names = [name.decode(errors="replace") for name in tensor.string_val]
    return [tuple(names[row * shape[1] : (row + 1) * shape[1]]) for row in range(shape[0])]


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


def _optional(
    outputs: Mapping[str, tf.TensorProto], name: str, shape: tuple[int | None, ...]
) -> np.ndarray | None:
    """An output that a model may leave out; None in `shape` stands for any size."""
    if name not in outputs:
        return None
    values = _floats(outputs[name])
    matches = values.ndim == len(shape) and all(
        expected in (None, size) for expected, size in zip(shape, values.shape, strict=True)
    )
    if not matches or not np.isfinite(values).all():
        raise ModelFailed(f"The model's {name!r} do not match its signature.")
    return values
