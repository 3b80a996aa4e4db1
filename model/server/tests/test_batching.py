from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from conftest import Client, pixels, serve

from model_server.batching import BatchingParameters

CONF = Path(__file__).parents[2] / "batching.conf"


@pytest.fixture(scope="module")
def client(models: Path) -> Iterator[Client]:
    parameters = BatchingParameters(
        max_batch_size=8,
        batch_timeout_micros=200_000,
        max_enqueued_batches=2,
        num_batch_threads=1,
        allowed_batch_sizes=(4, 8),
    )
    with serve(models, parameters) as client:
        client.wait_for_version(2)
        yield client


def at_once(count: int, call) -> list[Future]:
    with ThreadPoolExecutor(count) as pool:
        return list(map(pool.submit, [call] * count, range(count)))


def test_requests_share_a_batch_and_get_their_own_answers(client: Client) -> None:
    answers = [f.result() for f in at_once(8, lambda i: client.predict(images=pixels(i)))]
    assert [answer["mean"].tolist() for answer in answers] == [[i] for i in range(8)]
    assert max(int(answer["batch"][0]) for answer in answers) == 8


def test_a_batch_is_padded_to_an_allowed_size(client: Client) -> None:
    answer = client.predict(images=pixels(1, 2))
    assert answer["batch"].tolist() == [4, 4]
    assert answer["mean"].tolist() == [1, 2]


def test_a_bad_request_does_not_hurt_the_others(client: Client) -> None:
    def ask(i: int) -> list[float]:
        return client.predict(images=pixels(i)[:, : 3 if i == 2 else 4])["mean"].tolist()

    results = at_once(6, ask)
    bad = results.pop(2).exception()
    assert bad.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert [f.result() for f in results] == [[0], [1], [3], [4], [5]]


def test_a_request_larger_than_a_batch(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.predict(images=pixels(*range(9)))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_full_queue(client: Client) -> None:
    results = at_once(48, lambda i: client.predict("slow", images=pixels(*[i] * 8)))
    errors = [f.exception() for f in results if f.exception()]
    assert errors
    assert {error.code() for error in errors} == {grpc.StatusCode.UNAVAILABLE}
    assert "queue" in errors[0].details()
    assert len(errors) < len(results)


def test_signatures_without_a_batch_dimension_run_alone(client: Client) -> None:
    assert client.predict("unbatched", images=pixels(1, 2))["sum"] == 3 * 48


def test_the_file_that_both_servers_read() -> None:
    parameters = BatchingParameters.read(CONF)
    assert parameters.max_batch_size == parameters.allowed_batch_sizes[-1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("max_batch_siz { value: 3 }", "max_batch_siz"),
        ("max_batch_size: 3", "max_batch_size"),
        ("max_batch_size { value: 0 }", "above 0"),
        ("batch_timeout_micros { value: -1 }", "above 0"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: 4", "end with max_batch_size"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: [8, 4]", "must rise"),
    ],
)
def test_a_file_that_makes_no_sense(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "batching.conf"
    file.write_text(text)
    with pytest.raises(ValueError, match=why):
        BatchingParameters.read(file)
