"""How OpenVINO compiles networks."""

import contextlib
import os
import sys
from threading import Thread

import numpy as np
import openvino
import pytest
from openvino import opset15 as operations

from model_server.networks import CompiledNetwork, Compiler

SIDE = 1000


def products() -> openvino.Model:
    """A model that computes long enough to be watched."""
    matrix = operations.parameter([SIDE, SIDE], np.float32)
    matrix.output(0).set_names({"matrix"})
    product = matrix
    for _ in range(5):
        product = operations.matmul(product, matrix, False, False)
    return openvino.Model([product], [matrix])


def processors_used(network: CompiledNetwork) -> set[frozenset[int]]:
    """What a thread was tied to while it computed: each set of processors."""
    thread = Thread(target=network, args=[{"matrix": np.zeros((SIDE, SIDE), np.float32)}])
    thread.start()
    assert thread.native_id
    seen = set()
    with contextlib.suppress(ProcessLookupError):  # it has ended
        while thread.is_alive():
            seen.add(frozenset(os.sched_getaffinity(thread.native_id)))
    return seen


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tie no thread")
def test_few_threads_are_not_tied_to_processors() -> None:
    """Several processes, each with few threads, would share the first ones."""
    network = Compiler("fp32", threads=1).compile(products())
    assert processors_used(network) == {frozenset(os.sched_getaffinity(0))}
