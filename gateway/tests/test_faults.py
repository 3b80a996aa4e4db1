"""What a caller gets when something dies, freezes or fills up: docs/reliability.md's table."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from gateway_testing.fake_serving import FakeServing, Outputs, sports_outputs
from gateway_testing.service import LOAD_SECONDS, Load, Service, gateway, predict
from gateway_testing.waiting import wait_for

pytestmark = pytest.mark.timeout(240)

RESTARTS = 3 if LOAD_SECONDS >= 30 else 1


def workers(service: Service) -> list[int]:
    pid = service.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if not children.exists():
        pytest.skip("needs Linux' /proc")
    return [int(child) for child in children.read_text().split()]


def report(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        print(f"\n{text}")


@pytest.fixture(scope="module")
def shared_serving() -> Iterator[FakeServing]:
    fake = FakeServing()
    fake.delay = 0.05
    yield fake
    fake.stop()


@pytest.fixture(scope="module")
def service(shared_serving: FakeServing) -> Iterator[Service]:
    """Two workers that refuse none of the requests of a Load, on however slow a machine."""
    with gateway(shared_serving.host, workers=2, GATEWAY_MAX_IN_FLIGHT="64") as service:
        yield service


UNUSABLE: dict[str, Outputs] = {
    "missing": {"other": np.zeros((1, 7), np.float32)},
    "no labels": {"probabilities": np.zeros((1, 7), np.float32)},
    "nan": {**sports_outputs(), "probabilities": np.full((1, 7), np.nan, np.float32)},
    "six": {**sports_outputs(), "probabilities": np.full((1, 6), 1 / 6, np.float32)},
    "two": {**sports_outputs(), "probabilities": np.full((2, 7), 1 / 7, np.float32)},
    "five": {**sports_outputs(), "probabilities": np.full((1, 7), 5, np.float32)},
    "domains": {**sports_outputs(), "in_domain": np.full(3, 0.5, np.float32)},
    "infinite": {**sports_outputs(), "in_domain": np.full(1, np.inf, np.float32)},
    "labels": {**sports_outputs(), "labels": np.array([["a"]])},
}


@pytest.mark.parametrize("outputs", UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_answer_of_the_model_is_a_502(
    client: FlaskClient, serving: FakeServing, jpeg: bytes, outputs: Outputs
) -> None:
    serving.outputs = outputs
    response = client.post("/predict", data=jpeg, content_type="image/jpeg")
    assert response.json is not None
    assert (response.status_code, response.json["title"]) == (502, "Model failed")
    serving.outputs = None
    assert client.post("/predict", data=jpeg, content_type="image/jpeg").json == "cricket"


def test_no_request_fails_when_a_new_version_is_loaded(
    service: Service, shared_serving: FakeServing, jpeg: bytes
) -> None:
    with Load(service, jpeg) as load:
        for version in (2, 3, 4):
            load.wait_for_more()
            shared_serving.version = version
        load.wait_for_more()
    assert set(load.statuses()) == {200}


def test_a_killed_worker_loses_only_what_it_was_working_on(service: Service, jpeg: bytes) -> None:
    wait_for(lambda: len(workers(service)) == 2)
    killed = workers(service)[0]
    with Load(service, jpeg) as load:
        load.wait_for_more()
        answered = load.answered()
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: killed not in workers(service))
        sent = load.sent()
        load.wait_for_more(60)
    assert set(load.statuses()[sent:]) == {200}
    assert load.statuses()[:sent].count(200) >= answered
    wait_for(lambda: len(workers(service)) == 2)
    assert predict(service, jpeg).json() == "cricket"


def test_no_request_fails_when_workers_are_replaced(
    service: Service, jpeg: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    before = workers(service)
    with Load(service, jpeg) as load:
        for _ in range(RESTARTS):
            load.wait_for_more()
            service.process.send_signal(signal.SIGHUP)
        load.wait_for_more()
        wait_for(lambda: not set(before) & set(workers(service)))
    statuses = load.statuses()
    report(capsys, f"{len(statuses)} requests over {RESTARTS} restarts of all workers")
    assert set(statuses) == {200}


def test_requests_in_flight_are_answered_before_the_end(serving: FakeServing, jpeg: bytes) -> None:
    serving.delay = 1.0  # for the signal to arrive before the answers
    with gateway(serving.host, workers=2) as service, ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(predict, service, jpeg) for _ in range(6)]
        wait_for(lambda: len(serving.requests) == 6)
        service.process.terminate()
        assert [answer.result().status_code for answer in answers] == [200] * 6
        assert service.process.wait(60) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a full disk")
def test_a_full_disk_for_logs_does_not_matter(shared_serving: FakeServing, jpeg: bytes) -> None:
    with Path("/dev/full").open("wb") as full, gateway(shared_serving.host, output=full) as service:
        for _ in range(5):
            assert predict(service, jpeg).json() == "cricket"
        assert predict(service, b"nonsense").status_code == 415


# For everything written in Python; gRPC passes what it reads to its core, whose clock stays.
JUMPING_CLOCK = """
import os, sys, time
real = time.time
def jumped():
    ours = not sys._getframe(1).f_globals["__name__"].startswith("grpc")
    return real() + ours * float(open(os.environ["CLOCK_JUMP"]).read())
time.time = jumped
"""


def test_a_jump_of_the_clock_does_not_matter(
    shared_serving: FakeServing, jpeg: bytes, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(JUMPING_CLOCK)
    jump = tmp_path / "jump"
    jump.write_text("0")
    with gateway(shared_serving.host, PYTHONPATH=str(tmp_path), CLOCK_JUMP=str(jump)) as service:
        before = workers(service)
        assert predict(service, jpeg).json() == "cricket"
        for seconds in (10_000, -10_000):
            (tmp_path / "new").write_text(str(seconds))
            (tmp_path / "new").rename(jump)
            with Load(service, jpeg) as load:
                load.wait_for_more(40)  # two seconds, and so two rounds of gunicorn's loop
            assert set(load.statuses()) == {200}
        assert workers(service) == before
