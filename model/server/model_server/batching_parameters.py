"""The parameters of server-side batching, read from TensorFlow Serving's file format."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)

INTEGER_FIELDS = (
    "max_batch_size",
    "batch_timeout_micros",
    "max_enqueued_batches",
    "num_batch_threads",
)


@dataclass(frozen=True)
class BatchingParameters:
    """The contents of --batching_parameters_file, with TensorFlow Serving's defaults."""

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = os.cpu_count() or 1
    allowed_batch_sizes: tuple[int, ...] = ()

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a text-format BatchingParameters message.

        Raises:
            ValueError: a field is unknown or its value is invalid.
        """
        try:
            message = text_format.Parse(file.read_text(), _empty_message())
        except text_format.ParseError as error:
            raise ValueError(f"{file}: {error}") from None
        values = {
            name: getattr(message, name).value for name in INTEGER_FIELDS if message.HasField(name)
        }
        sizes = tuple(message.allowed_batch_sizes)
        parameters = cls(**values, allowed_batch_sizes=sizes)
        if sizes and (list(sizes) != sorted(set(sizes)) or sizes[-1] != parameters.max_batch_size):
            raise ValueError(f"{file}: allowed_batch_sizes must rise and end with max_batch_size")
        if min(values.values(), default=1) < 0 or 0 in (
            parameters.max_batch_size,
            parameters.num_batch_threads,
            parameters.max_enqueued_batches,
        ):
            raise ValueError(f"{file}: sizes and counts must be above 0")
        return parameters

    def padded_size(self, rows: int) -> int:
        """The next of the allowed sizes of a batch."""
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)


def _empty_message() -> Any:
    """An empty BatchingParameters."""
    field = descriptor_pb2.FieldDescriptorProto
    fields = [
        field(
            name=name,
            number=number,
            type=field.TYPE_MESSAGE,
            type_name=".google.protobuf.Int64Value",
            label=field.LABEL_OPTIONAL,
        )
        for number, name in enumerate(INTEGER_FIELDS, 1)
    ]
    fields.append(
        field(
            name="allowed_batch_sizes", number=6, type=field.TYPE_INT64, label=field.LABEL_REPEATED
        )
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
