import threading
import time

import pytest

from gateway.errors import TooManyRequests
from gateway.shares import Shares


def soon() -> float:
    return time.monotonic() + 0.05


def check_full(shares: Shares, key: object = None) -> None:
    with pytest.raises(TooManyRequests, match="Full"), shares.take(1, time.monotonic(), key):
        pytest.fail("got more")


def test_no_more_than_the_limit() -> None:
    shares = Shares(10, "Full.")
    with shares.take(6, soon()), shares.take(4, soon()):
        check_full(shares)
    with shares.take(10, soon()):
        pass


def test_each_key_has_its_own_limit() -> None:
    shares = Shares(1, "Full.")
    with shares.take(1, soon(), "a"), shares.take(1, soon(), "b"):
        pass


def test_what_is_held_is_given_back_after_an_error() -> None:
    shares = Shares(1, "Full.")
    with pytest.raises(KeyError), shares.take(1, soon()):
        raise KeyError
    with shares.take(1, soon()):
        pass


def test_a_large_wish_is_not_overtaken() -> None:
    shares = Shares(10, "Full.")
    order: list[str] = []

    def wish(name: str, amount: int) -> None:
        with shares.take(amount, time.monotonic() + 10):
            order.append(name)

    with shares.take(5, soon()):
        large = threading.Thread(target=wish, args=("large", 10))
        large.start()
        while not shares._lines[None]:
            time.sleep(0.001)
        small = threading.Thread(target=wish, args=("small", 1))
        small.start()
        while len(shares._lines[None]) < 2:
            time.sleep(0.001)
    large.join()
    small.join()
    assert order == ["large", "small"]


def test_keys_that_nobody_uses_are_forgotten() -> None:
    shares = Shares(1, "Full.")
    for key in range(100):
        with shares.take(1, soon(), key):
            check_full(shares, key)
    assert not shares._taken
    assert not shares._lines
