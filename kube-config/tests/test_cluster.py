"""Requests while model pods come and go, with the settings of the Deployments."""

import signal

from cluster import Cluster, Pod
from gateway_testing.drawings import encode, gradient
from gateway_testing.service import Load
from gateway_testing.waiting import wait_for

DEADLINE = 300  # seconds


def wait_for_answers(load: Load, count: int) -> None:
    goal = load.answered() + count
    wait_for(lambda: load.answered() >= goal, DEADLINE)


def is_unused(pod: Pod, load: Load) -> bool:
    """Whether the next requests all go to other pods."""
    before = pod.requests()
    wait_for_answers(load, 40)
    return pod.requests() == before


def test_no_request_is_lost_when_model_pods_are_replaced_and_killed(cluster: Cluster) -> None:
    first, second = cluster.model(11), cluster.model(12)
    cluster.resolve_to(first, second)
    with Load(cluster.gateway(), encode(gradient())) as load:
        wait_for(lambda: first.requests() > 20 and second.requests() > 20, DEADLINE)

        third = cluster.model(13)
        cluster.resolve_to(first, third)
        wait_for(lambda: third.requests() and is_unused(second, load), DEADLINE)
        second.stop(signal.SIGTERM)  # its preStop is over
        wait_for_answers(load, 40)

        first.stop(signal.SIGKILL)  # while the name still resolves to it
        wait_for_answers(load, 100)

    assert set(load.statuses()) == {200}
