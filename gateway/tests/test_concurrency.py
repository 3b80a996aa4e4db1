import threading
import time

import pytest
from gateway_testing.waiting import wait_for

from gateway.concurrency import ConcurrencyLimit
from gateway.errors import TooManyRequests


def now() -> float:
    return time.monotonic()


def soon() -> float:
    return time.monotonic() + 20


def check_full(limit: ConcurrencyLimit, key: object = None) -> None:
    with pytest.raises(TooManyRequests, match="Full"), limit.acquire(1, now(), key):
        pytest.fail("more than the limit was acquired")


def test_no_more_than_the_limit_is_held() -> None:
    limit = ConcurrencyLimit(10, "Full.")
    with limit.acquire(6, now()), limit.acquire(4, now()):
        check_full(limit)
    with limit.acquire(10, now()):
        pass


def test_each_key_has_its_own_limit() -> None:
    limit = ConcurrencyLimit(1, "Full.")
    with limit.acquire(1, now(), "a"), limit.acquire(1, now(), "b"):
        check_full(limit, "a")


def test_an_error_releases_what_was_held() -> None:
    limit = ConcurrencyLimit(1, "Full.")
    with pytest.raises(KeyError), limit.acquire(1, now()):
        raise KeyError
    with limit.acquire(1, now()):
        pass


def test_waiters_are_served_in_order_whatever_their_amount() -> None:
    limit = ConcurrencyLimit(10, "Full.")
    order: list[str] = []

    def acquire(name: str, amount: int) -> None:
        with limit.acquire(amount, soon()):
            order.append(name)

    large = threading.Thread(target=acquire, args=("large", 10))
    small = threading.Thread(target=acquire, args=("small", 1))
    with limit.acquire(5, now()):
        large.start()
        wait_for(lambda: len(limit._waiting[None]) == 1)
        small.start()
        wait_for(lambda: len(limit._waiting[None]) == 2)
    large.join()
    small.join()
    assert order == ["large", "small"]


def test_unused_keys_are_dropped() -> None:
    limit = ConcurrencyLimit(1, "Full.")
    for key in range(100):
        with limit.acquire(1, now(), key):
            check_full(limit, key)
    assert not limit._held
    assert not limit._waiting
