from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from server_models import write_model
from serving_client import Client, Hold, pixels, rpc_error, serve, wait_until

from model_server.batching_parameters import BatchingParameters

PARAMETERS_FILE = Path(__file__).parents[2] / "batching.conf"
PARAMETERS = BatchingParameters(
    max_batch_size=8,
    batch_timeout_micros=60_000_000,  # so that only a full batch runs
    max_enqueued_batches=2,
    num_batch_threads=1,
    allowed_batch_sizes=(4, 8),
)


@pytest.fixture(scope="module")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(
        tmp_path_factory.mktemp("batching"), 1, ["serving_default", "unbatched", "hold"]
    )


@pytest.fixture(scope="module")
def client(base_path: Path) -> Iterator[Client]:
    """A server that waits for a full batch."""
    with serve(base_path, PARAMETERS) as client:
        client.wait_for_version(1)
        yield client


@pytest.fixture(scope="module")
def eager_client(base_path: Path) -> Iterator[Client]:
    """A server that runs incomplete batches at once."""
    with serve(base_path, replace(PARAMETERS, batch_timeout_micros=0)) as client:
        client.wait_for_version(1)
        yield client


def call_concurrently(count: int, call: Callable[[int], Any]) -> list[Future]:
    with ThreadPoolExecutor(count) as pool:
        return list(map(pool.submit, [call] * count, range(count)))


def test_concurrent_requests_share_a_batch_and_get_their_own_outputs(client: Client) -> None:
    results = call_concurrently(8, lambda i: client.predict(images=pixels(i)))
    outputs = [result.result() for result in results]
    assert [output["mean"].tolist() for output in outputs] == [[i] for i in range(8)]
    assert [output["batch"].tolist() for output in outputs] == [[8]] * 8


def test_batch_is_padded_to_an_allowed_size(eager_client: Client) -> None:
    outputs = eager_client.predict(images=pixels(1, 2))
    assert outputs["batch"].tolist() == [4, 4]
    assert outputs["mean"].tolist() == [1, 2]


def test_invalid_request_does_not_affect_the_others(client: Client) -> None:
    def predict(i: int) -> list[float]:
        return client.predict(images=pixels(i)[:, : 3 if i == 2 else 4])["mean"].tolist()

    results = call_concurrently(9, predict)
    error = results.pop(2).exception()
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert [result.result() for result in results] == [[i] for i in (0, 1, 3, 4, 5, 6, 7, 8)]


def test_request_larger_than_a_batch_is_refused(client: Client) -> None:
    status, _ = rpc_error(lambda: client.predict(images=pixels(*range(9))))
    assert status == grpc.StatusCode.INVALID_ARGUMENT


def test_requests_beyond_a_full_queue_are_refused(client: Client, tmp_path: Path) -> None:
    with ThreadPoolExecutor(9) as pool, Hold(tmp_path) as hold:

        def predict() -> Future:
            return pool.submit(client.predict, "hold", folders=hold.folders * 8)

        running = predict()
        hold.wait_until_entered()
        others = [predict() for _ in range(8)]
        wait_until(lambda: any(other.done() for other in others))
        hold.release()
    assert running.result()
    errors = [other.exception() for other in others if other.exception()]
    assert 0 < len(errors) < len(others)
    assert {error.code() for error in errors} == {grpc.StatusCode.UNAVAILABLE}
    assert "queue" in errors[0].details()


def test_signatures_without_a_batch_dimension_are_not_batched(client: Client) -> None:
    assert client.predict("unbatched", images=pixels(1, 2))["sum"] == 3 * 48


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
