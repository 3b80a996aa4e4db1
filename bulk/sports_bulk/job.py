"""The job: read -> fetch -> classify -> write, on Ray Data."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext, ExecutionResources, TaskPoolStrategy

from gateway.config import Settings
from sports_bulk.classify import Classifier
from sports_bulk.fetch import Fetch
from sports_bulk.plan import Plan
from sports_bulk.predictions import write_parquet

PARTS_AT_ONCE = 20_000  # in one dataset: the driver keeps some kilobytes for each
WORKERS_PER_FETCHER = 8  # and per writer
PARTS_PER_FETCHER = 8  # at once: a source that does not answer holds up one of them
FETCHED_BYTES = 32_000_000  # that wait for each worker, or that one part has, if this is more
TABLES: dict[str, Any] = {"batch_format": "pyarrow", "batch_size": None}
# Less than a processor is counted for those that compute, so that the others, which mostly wait,
# find room beside them; and a little for these, so that none is where Ray has no processor.
COMPUTING, WAITING = TABLES | {"num_cpus": 0.9}, TABLES | {"num_cpus": 0.01}


def run(plan: Plan, workers: int, settings: Settings) -> Iterator[int]:
    """Do the parts that are missing; return each part's number once its file is there.

    Args:
        workers: the most processors that compute.
    """
    missing = plan.missing()
    workers = min(workers, len(missing))
    few = -(-workers // WORKERS_PER_FETCHER)
    fetchers = ActorPoolStrategy(size=few, max_concurrent_calls_per_actor=PARTS_PER_FETCHER)
    fetching = {"fn_constructor_args": (plan, settings), "compute": fetchers, **WAITING}
    model = (plan.model, plan.precision, settings)
    classifiers = ActorPoolStrategy(size=workers)
    classifying = {"fn_constructor_args": model, "compute": classifiers, **COMPUTING}
    writing = {"fn_args": (plan,), "compute": TaskPoolStrategy(few), **WAITING}
    _configure_ray_data(workers * FETCHED_BYTES)
    for start in range(0, len(missing), PARTS_AT_ONCE):
        parts = [pa.table({"part": [part]}) for part in missing[start : start + PARTS_AT_ONCE]]
        done = (
            ray.data.from_arrow(parts)  # a block each, from which a fetcher reads its rows
            .map_batches(Fetch, **fetching)
            .map_batches(Classifier, **classifying)
            .map_batches(write_parquet, **writing)
        )
        yield from (int(row["part"]) for row in done.iter_rows())


def _configure_ray_data(memory: float) -> None:
    context = DataContext.get_current()
    context.target_max_block_size = None  # a part stays one block, from its rows to its file
    context.enable_progress_bars = context.print_on_execution_start = False
    limits = ExecutionResources.for_limits(object_store_memory=memory)
    context.execution_options.resource_limits = limits
