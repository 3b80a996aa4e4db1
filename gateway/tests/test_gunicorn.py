"""gateway/worker.py overrides and uses what gunicorn does not promise to keep."""

import hashlib
import importlib.metadata
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from gunicorn.http.unreader import Unreader
from gunicorn.workers.base import Worker as BaseWorker
from gunicorn.workers.gthread import TConn, ThreadWorker

from gateway.worker import Worker

# The beginnings of the hashes of their sources, as of the version in pyproject.toml.
OVERRIDDEN = {
    ThreadWorker.__init__: "5681b8b542ea",
    ThreadWorker.enqueue_req: "c9f428953d24",
    ThreadWorker.handle: "ca85c9be3df7",
    ThreadWorker.murder_pending: "7bf11f464542",
    BaseWorker.handle_error: "75426448389b",
}
USED = {
    ThreadWorker.accept: "f8dcead3dce5",  # calls enqueue_req with a new connection
    ThreadWorker.finish_request: "616e7bb15a00",  # calls it with a kept one, and counts nr_conns
    ThreadWorker.on_client_socket_readable: "aead1a3ea7b7",
    ThreadWorker.run: "f92c7394d857",  # calls murder_pending about once a second
    ThreadWorker.wait_for_and_dispatch_events: "ea969b352482",  # calls what the poller holds
    TConn.__init__: "c8763d7c6597",
    TConn.init: "5ff3d4ba451c",
    TConn.wait_for_data: "d14377e00243",  # not called for a connection that is initialized
    TConn.close: "6d1c334ed197",
    Unreader.take_buffered: "89cef5e60e6f",
    Unreader.unread: "8e325744dfca",
}


@pytest.mark.parametrize(
    ("member", "recorded"),
    (OVERRIDDEN | USED).items(),
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_gunicorn_is_as_the_worker_expects(member: Callable[..., object], recorded: str) -> None:
    actual = hashlib.sha256(inspect.getsource(member).encode()).hexdigest()[:12]
    assert actual == recorded, (
        f"gunicorn's {member.__qualname__} has changed: compare its source with gateway/worker.py,"
        f" which overrides or uses it; then record {actual} here and the version in pyproject.toml"
    )


def test_every_overridden_method_is_recorded() -> None:
    inherited = {name for base in Worker.__mro__[1:-1] for name in vars(base)}
    own = {name for name, value in vars(Worker).items() if callable(value)}
    assert own & inherited == {member.__name__ for member in OVERRIDDEN}


def test_gunicorn_is_pinned_to_the_installed_version() -> None:
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    [pinned] = re.findall(r'"gunicorn==([^"]+)"', project)
    assert pinned == importlib.metadata.version("gunicorn")
