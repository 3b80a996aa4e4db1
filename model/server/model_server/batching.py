"""Server-side batching, with the kernel and the parameters file of TensorFlow Serving."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from tensorflow.core.protobuf import config_pb2

_NUMBERS = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")


@dataclass(frozen=True)
class BatchingParameters:
    """What TensorFlow Serving reads from --batching_parameters_file, with its defaults."""

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = os.cpu_count() or 1
    allowed_batch_sizes: tuple[int, ...] = ()

    @classmethod
    def read(cls, file: Path) -> "BatchingParameters":
        """Read a text-format BatchingParameters message.

        Raises:
            ValueError: a field is unknown or makes no sense.
        """
        try:
            message = text_format.Parse(file.read_text(), _message())
        except text_format.ParseError as error:
            raise ValueError(f"{file}: {error}") from None
        given = {name: getattr(message, name).value for name in _NUMBERS if message.HasField(name)}
        sizes = tuple(message.allowed_batch_sizes)
        parameters = cls(**given, allowed_batch_sizes=sizes)
        if sizes and (list(sizes) != sorted(set(sizes)) or sizes[-1] != parameters.max_batch_size):
            raise ValueError(f"{file}: allowed_batch_sizes must rise and end with max_batch_size")
        if min(given.values(), default=1) < 0 or 0 in (
            parameters.max_batch_size,
            parameters.num_batch_threads,
            parameters.max_enqueued_batches,
        ):
            raise ValueError(f"{file}: sizes and counts must be above 0")
        return parameters


def batched(
    infer: Callable[..., list[np.ndarray]],
    inputs: Sequence[tf.TensorSpec],
    outputs: Sequence[tf.TensorSpec],
    parameters: BatchingParameters,
) -> Callable[..., list[np.ndarray]]:
    """`infer`, with calls from several threads merged into one.

    Args:
        infer: takes arrays and gives arrays that all have the batch dimension first.
        inputs: what it takes.
        outputs: what it gives.
        parameters: how large a batch may be and how long one waits for it.
    """

    def run(*arrays: np.ndarray) -> list[np.ndarray]:
        try:
            return infer(*arrays)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(error.message) from None  # which becomes the former again

    @tf.nondifferentiable_batch_function(
        num_batch_threads=parameters.num_batch_threads,
        max_batch_size=parameters.max_batch_size,
        batch_timeout_micros=parameters.batch_timeout_micros,
        allowed_batch_sizes=list(parameters.allowed_batch_sizes) or None,
        max_enqueued_batches=parameters.max_enqueued_batches,
        enable_large_batch_splitting=False,
        autograph=False,
    )
    def merged(*tensors: tf.Tensor) -> list[tf.Tensor]:
        given = tf.numpy_function(run, tensors, [spec.dtype for spec in outputs], stateful=False)
        for tensor, spec in zip(given, outputs, strict=True):
            tensor.set_shape(spec.shape)
        return list(given)

    with tf.Graph().as_default() as graph:
        placeholders = [tf.compat.v1.placeholder(spec.dtype, spec.shape) for spec in inputs]
        targets = merged(*placeholders)
    # Threads of its own: they wait for `infer`, which may need TensorFlow's.
    pool = config_pb2.ThreadPoolOptionProto(num_threads=parameters.num_batch_threads + 1)
    config = tf.compat.v1.ConfigProto(session_inter_op_thread_pool=[pool])
    session = tf.compat.v1.Session(graph=graph, config=config)
    together: Callable[..., list[np.ndarray]] = session.make_callable(targets, placeholders)
    return together


def _message() -> Any:
    """An empty BatchingParameters; tensorflow-serving-api does not ship its definition."""
    kind = descriptor_pb2.FieldDescriptorProto
    fields = [
        kind(
            name=name,
            number=number,
            type=kind.TYPE_MESSAGE,
            type_name=".google.protobuf.Int64Value",
            label=kind.LABEL_OPTIONAL,
        )
        for number, name in enumerate(_NUMBERS, 1)
    ]
    fields.append(
        kind(name="allowed_batch_sizes", number=6, type=kind.TYPE_INT64, label=kind.LABEL_REPEATED)
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(
        descriptor_pb2.FileDescriptorProto(
            name="batching_parameters.proto",
            syntax="proto3",
            dependency=[wrappers_pb2.DESCRIPTOR.name],
            message_type=[descriptor_pb2.DescriptorProto(name="BatchingParameters", field=fields)],
        )
    )
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("BatchingParameters"))()
