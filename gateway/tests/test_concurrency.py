import threading
import time
from functools import partial

import pytest
from gateway_testing.waiting import wait_for

from gateway.concurrency import ConcurrencyLimit
from gateway.errors import TooManyRequests


def now() -> float:
    return time.monotonic()


def soon() -> float:
    return time.monotonic() + 20


def check_full(limit: ConcurrencyLimit, key: object = None) -> None:
    with pytest.raises(TooManyRequests, match="Full"), limit.acquire(now(), key):
        pytest.fail("more than the limit was acquired")


def test_no_more_than_the_limit_is_held() -> None:
    limit = ConcurrencyLimit(2, "Full.")
    for _ in range(2):
        with limit.acquire(now()), limit.acquire(now()):
            check_full(limit)


def test_each_key_has_its_own_limit() -> None:
    limit = ConcurrencyLimit(1, "Full.")
    with limit.acquire(now(), "a"), limit.acquire(now(), "b"):
        check_full(limit, "a")


def test_an_error_releases_what_was_held() -> None:
    limit = ConcurrencyLimit(1, "Full.")
    with pytest.raises(KeyError), limit.acquire(now()):
        raise KeyError
    with limit.acquire(now()):
        pass


def test_waiters_are_served_in_order() -> None:
    limit = ConcurrencyLimit(1, "Full.")
    order: list[int] = []

    def acquire(number: int) -> None:
        with limit.acquire(soon()):
            order.append(number)

    def has_waiting(count: int) -> bool:
        return len(limit._waiting[None]) == count

    threads = [threading.Thread(target=acquire, args=(number,)) for number in range(5)]
    with limit.acquire(now()):
        for number, thread in enumerate(threads, 1):
            thread.start()
            wait_for(partial(has_waiting, number))
    for thread in threads:
        thread.join()
    assert order == list(range(5))


def test_unused_keys_are_dropped() -> None:
    limit = ConcurrencyLimit(1, "Full.")
    for key in range(100):
        with limit.acquire(now(), key):
            check_full(limit, key)
    assert not limit._held
    assert not limit._waiting
