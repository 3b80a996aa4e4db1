import math
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from serving_client import pixels, rpc_error, serve, wait_until

from model_server.batching import ROWS_AT_ONCE, Arrays, Queue, Task
from model_server.batching_parameters import BatchingParameters
from model_server.errors import DeadlineExceeded, InvalidArgument, Unavailable
from model_server.servable import Runtime

PARAMETERS_FILE = Path(__file__).parents[2] / "batching.conf"
PARAMETERS = BatchingParameters(
    max_batch_size=4,
    batch_timeout_micros=60_000_000,  # so that only a full batch runs
    max_enqueued_batches=2,
    num_batch_threads=1,
    allowed_batch_sizes=(2, 4),
)


def rows(*values: int) -> dict[str, np.ndarray]:
    return {"x": np.array(values)}


class Network:
    """Doubles its input once it is released, and keeps what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.release = threading.Event()
        self.error: Exception | None = None

    def __call__(self, inputs: Arrays) -> dict[str, np.ndarray]:
        self.batches.append(inputs["x"].tolist())
        self.release.wait()
        if self.error:
            raise self.error
        return {"y": inputs["x"] * 2}


@pytest.fixture
def network() -> Network:
    network = Network()
    network.release.set()
    return network


def run_concurrently(queue: Queue, count: int, deadline: float = math.inf) -> list[Future[Any]]:
    with ThreadPoolExecutor(count) as pool:
        return [pool.submit(queue.run, rows(i), deadline) for i in range(count)]


def test_concurrent_calls_share_a_batch_and_get_their_own_outputs(network: Network) -> None:
    results = run_concurrently(Queue(network, PARAMETERS), 4)
    assert [result.result()["y"].tolist() for result in results] == [[2 * i] for i in range(4)]
    assert sorted(network.batches[0]) == [0, 1, 2, 3]


def test_batch_is_padded_to_an_allowed_size(network: Network) -> None:
    queue = Queue(network, replace(PARAMETERS, batch_timeout_micros=0))
    assert queue.run(rows(7), math.inf)["y"].tolist() == [14]
    assert network.batches == [[7, 7]]


def test_incomplete_batch_runs_after_its_time(network: Network) -> None:
    queue = Queue(network, replace(PARAMETERS, batch_timeout_micros=1000))
    assert queue.run(rows(1, 2, 3), math.inf)["y"].tolist() == [2, 4, 6]


def test_call_larger_than_a_batch_is_refused(network: Network) -> None:
    with pytest.raises(InvalidArgument, match="Task size 5 is larger"):
        Queue(network, PARAMETERS).run(rows(*range(5)), math.inf)


def test_large_call_is_computed_in_parts(network: Network) -> None:
    limits = BatchingParameters(max_batch_size=16)
    values = range(2 * ROWS_AT_ONCE + 1)
    assert Queue(network, limits).run(rows(*values), math.inf)["y"].tolist() == [
        2 * value for value in values
    ]
    assert [len(batch) for batch in network.batches] == [ROWS_AT_ONCE, ROWS_AT_ONCE, 1]


def test_calls_that_wait_are_computed_together_in_their_order(network: Network) -> None:
    queue = Queue(network, BatchingParameters(max_batch_size=16, num_batch_threads=1))
    network.release.clear()
    with ThreadPoolExecutor(7) as pool:
        pool.submit(queue.run, rows(0), math.inf)
        wait_until(lambda: network.batches)
        for i in range(1, 7):
            pool.submit(queue.run, rows(i), math.inf)
            wait_until(lambda i=i: len(queue._waiting) == i)
        network.release.set()
    assert network.batches == [[0], [1, 2, 3, 4], [5, 6]]


def test_calls_beyond_a_full_queue_are_refused(network: Network) -> None:
    queue = Queue(network, replace(PARAMETERS, batch_timeout_micros=0))
    network.release.clear()
    with ThreadPoolExecutor(3) as pool:
        running = pool.submit(queue.run, rows(1), math.inf)
        wait_until(lambda: network.batches)
        others = [pool.submit(queue.run, rows(*range(4)), math.inf) for _ in range(2)]
        wait_until(lambda: len(queue._waiting) == 2)
        try:
            with pytest.raises(Unavailable, match="queue"):
                queue.run(rows(1), math.inf)
        finally:
            network.release.set()
    assert all(future.result() for future in (running, *others))


def test_call_leaves_the_queue_at_its_deadline(network: Network) -> None:
    queue = Queue(network, replace(PARAMETERS, batch_timeout_micros=0))
    network.release.clear()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(queue.run, rows(1), math.inf)
        wait_until(lambda: network.batches)
        try:
            with pytest.raises(DeadlineExceeded):
                queue.run(rows(2), time.monotonic() + 0.01)
        finally:
            network.release.set()
        running.result()
    assert network.batches == [[1, 1]]
    assert queue.run(rows(3), math.inf)["y"].tolist() == [6]


def test_error_reaches_all_calls_of_the_batch_and_no_other(network: Network) -> None:
    queue = Queue(network, PARAMETERS)
    network.error = RuntimeError("no memory")
    results = run_concurrently(queue, 4)
    assert [str(result.exception()) for result in results] == ["no memory"] * 4
    network.error = None
    assert queue.run(rows(1, 2, 3, 4), math.inf)["y"].tolist() == [2, 4, 6, 8]


def test_without_parameters_each_call_is_computed_alone(network: Network) -> None:
    results = run_concurrently(Queue(network), 5)
    assert [result.result()["y"].tolist() for result in results] == [[2 * i] for i in range(5)]
    assert sorted(network.batches) == [[i] for i in range(5)]


def test_task_that_is_computed_late_keeps_its_outputs(network: Network) -> None:
    task = Task(rows(1), 1)
    assert not task.is_done
    task.outputs = network(task.inputs)
    assert task.is_done


def test_requests_to_the_server_share_batches(models: Path) -> None:
    with serve(models / "signatures", Runtime("fp32", PARAMETERS)) as client:
        client.wait_for_version(1)

        def predict(i: int) -> dict[str, np.ndarray]:
            return client.predict(images=pixels(i)[:, : 3 if i == 2 else 4])

        with ThreadPoolExecutor(5) as pool:
            results = [pool.submit(predict, i) for i in range(5)]
        error = results.pop(2).exception()
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        outputs = [result.result() for result in results]
        assert [output["mean"].tolist() for output in outputs] == [[i] for i in (0, 1, 3, 4)]
        assert [output["batch"].tolist() for output in outputs] == [[4]] * 4
        # Without a batch dimension, nothing is batched.
        assert client.predict("unbatched", images=pixels(1, 2))["sum"] == 3 * 48
        status, _ = rpc_error(lambda: client.predict(images=pixels(1), timeout=0.1))
        assert status == grpc.StatusCode.DEADLINE_EXCEEDED


def test_parameters_file_of_the_deployments_is_valid() -> None:
    parameters = BatchingParameters.read(PARAMETERS_FILE)
    assert parameters.max_batch_size == parameters.allowed_batch_sizes[-1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("max_batch_siz { value: 3 }", "max_batch_siz"),
        ("max_batch_size: 3", "max_batch_size"),
        ("max_batch_size { value: 0 }", "above 0"),
        ("batch_timeout_micros { value: -1 }", "above 0"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: 4", "end with max_batch_size"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: [8, 4]", "must rise"),
    ],
)
def test_invalid_parameters_file_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "batching.conf"
    file.write_text(text)
    with pytest.raises(ValueError, match=reason):
        BatchingParameters.read(file)
