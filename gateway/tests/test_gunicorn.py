"""gateway/worker.py and its modules use what gunicorn does not promise to keep."""

import hashlib
import importlib.metadata
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from gunicorn.http.message import HeaderPolicy, Message, Request
from gunicorn.http.unreader import IterUnreader, Unreader
from gunicorn.http.wsgi import Response, create
from gunicorn.util import write
from gunicorn.workers.base import Worker as BaseWorker

from gateway.worker import Worker

# The beginnings of the hashes of their sources, as of the version in pyproject.toml.
USED = {
    BaseWorker.init_process: "114caccd7a0e",  # makes PIPE, loads the application, calls run
    BaseWorker.init_signals: "65442e0602b0",  # a signal is written to PIPE
    BaseWorker.handle_exit: "e2f7159c426d",  # sets alive to False
    Message.__init__: "14b64a40f29f",
    Message.parse_headers: "fe09a6b5e706",  # checks trailers
    Message.set_body_reader: "e3ba33f5ac7c",  # checks lengths and codings
    Message.should_close: "37c454bfb3e3",
    Request.parse: "34c084607ae1",
    Request._parse_python: "ed07ffec5178",  # refuses lines that end with LF alone
    HeaderPolicy._apply_header_policy: "ac812cc2fe6b",  # sets _expected_100_continue
    IterUnreader.chunk: "4aebaa160261",
    Unreader.read: "cbfeead6687f",
    create: "2c35d4a2dc62",  # would send "100 Continue"
    Response.write: "a13659ff072c",
    Response.close: "1e78fc7777ff",
    Response.should_close: "3888d47a96e2",
    write: "cd995031295f",  # calls sendall
}


@pytest.mark.parametrize(
    ("member", "recorded"), USED.items(), ids=lambda value: getattr(value, "__qualname__", "")
)
def test_gunicorn_is_as_the_worker_expects(member: Callable[..., object], recorded: str) -> None:
    actual = hashlib.sha256(inspect.getsource(member).encode()).hexdigest()[:12]
    assert actual == recorded, (
        f"gunicorn's {member.__qualname__} has changed: compare its source with gateway/worker.py,"
        f" connection_loop.py, request_reader.py and answers.py; then record {actual} here and the"
        " version in pyproject.toml"
    )


def test_the_worker_overrides_only_what_gunicorn_offers() -> None:
    inherited = set(vars(BaseWorker))
    own = {name for name, value in vars(Worker).items() if callable(value)}
    assert own & inherited == {"run"}


def test_gunicorn_is_pinned_to_the_installed_version() -> None:
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    [pinned] = re.findall(r'"gunicorn==([^"]+)"', project)
    assert pinned == importlib.metadata.version("gunicorn")
