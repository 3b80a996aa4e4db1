"""Requests while model pods come and go, with the settings of the Deployments.

CLUSTER_REQUESTS=10000 goes on until so many have been answered, which takes some minutes.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
import requests
from cluster import Cluster, Pod
from gateway_testing.drawings import encode, gradient
from gateway_testing.service import Crowd
from gateway_testing.waiting import wait_for

DEADLINE = 300  # seconds
CLIENTS = 24  # more than two model pods have threads, fewer than the gateway has slots
REQUESTS = int(os.environ.get("CLUSTER_REQUESTS", "1"))


class Traffic(Crowd):
    """The clients, and the gateway's answers to a readiness probe."""

    def readiness(self) -> int:
        return requests.get(f"{self._service.url}/readyz", timeout=30).status_code

    def wait_for(self, condition: Callable[[], object]) -> None:
        wait_for(condition, DEADLINE)
        assert self.readiness() == 200

    def wait_for_answers(self, count: int = 40) -> None:
        goal = self.answered() + count
        self.wait_for(lambda: self.answered() >= goal)

    def leaves(self, pod: Pod) -> bool:
        """Whether the next requests all go to other pods."""
        before = pod.requests()
        self.wait_for_answers()
        return pod.requests() == before


@pytest.mark.timeout(600 + REQUESTS)
def test_no_request_is_lost_when_model_pods_are_replaced_and_killed(
    cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    pods: list[Pod] = []

    def start() -> Pod:
        pods.append(cluster.model(11 + len(pods)))
        return pods[-1]

    first, second = start(), start()
    cluster.resolve_to(first, second)
    with Traffic(cluster.gateway(), encode(gradient()), CLIENTS) as traffic:
        traffic.wait_for(lambda: first.requests() > 20 and second.requests() > 20)
        while True:
            third = start()
            cluster.resolve_to(first, third)
            traffic.wait_for(third.requests)
            traffic.wait_for(partial(traffic.leaves, second))
            second.stop(signal.SIGTERM)  # its preStop is over
            traffic.wait_for_answers()

            first.stop(signal.SIGKILL)  # while the name still resolves to it
            traffic.wait_for_answers(100)
            if traffic.answered() >= REQUESTS:
                break
            first, second = third, start()
            cluster.resolve_to(first, second)
            traffic.wait_for(second.requests)

    statuses, refusals = Counter(traffic.statuses()), sum(pod.refusals() for pod in pods)
    record_property("answers", f"{dict(statuses)}, {refusals} calls refused by a model server")
    assert refusals
    assert set(statuses) == {200}
