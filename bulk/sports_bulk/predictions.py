"""The last stage: what the images show, as files of the output."""

from typing import Any

import pyarrow as pa
from pyarrow import parquet

from gateway.errors import GatewayError
from gateway.signatures import Prediction
from sports_bulk import storage
from sports_bulk.plan import Plan

Outcome = Prediction | GatewayError  # of an image


def prediction_schema(labels: tuple[str, ...]) -> Any:
    """The columns of the output; each label's is its probability."""
    return pa.schema(
        [
            ("row", pa.int64()),
            ("source", pa.string()),
            ("label", pa.string()),
            ("probability", pa.float32()),
            ("known", pa.bool_()),
            ("in_domain", pa.float32()),
            *((label, pa.float32()) for label in labels),
            ("model_version", pa.int64()),
            ("error", pa.string()),
            ("detail", pa.string()),
            ("fetch_seconds", pa.float32()),
        ]
    )


def columns(outcome: Outcome) -> dict[str, object]:
    """The columns that the outcome fills."""
    if isinstance(outcome, GatewayError):
        return {"error": outcome.slug, "detail": str(outcome)}
    return {
        "label": outcome.label,
        "probability": outcome.probabilities[outcome.label],
        "known": outcome.known,
        "in_domain": outcome.in_domain,
        **outcome.probabilities,
        "model_version": outcome.version,
    }


def write_parquet(batch: Any, plan: Plan) -> Any:
    """Write a part's file, which nothing but its contents names: done twice, it is there once.

    Args:
        batch: the part's rows, with the columns of `prediction_schema`.

    Returns:
        A table with one row and the column `part`.
    """
    part = batch.column("row")[0].as_py() // plan.rows_per_part
    buffer = pa.BufferOutputStream()
    parquet.write_table(batch, buffer, compression="zstd")
    storage.write(plan.predictions_file(part), memoryview(buffer.getvalue()))
    return pa.table({"part": [part]})
