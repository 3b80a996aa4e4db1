"""The whole gateway, gunicorn and all, in processes of its own."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import run_local

GATEWAY = Path(run_local.__file__).parent


@dataclass(frozen=True)
class Service:
    url: str
    port: int
    process: "subprocess.Popen[bytes]"


@contextlib.contextmanager
def gateway(
    host: str, workers: int = 1, output: BinaryIO | None = None, **settings: str
) -> Iterator[Service]:
    """Run it in front of the model server at `host`, with settings as in the environment."""
    port = run_local.free_port()
    own = {"PORT": str(port), "WEB_CONCURRENCY": str(workers), "TF_SERVING_HOST": host}
    command = [run_local.tool("gateway", "gunicorn")]
    environ = {**os.environ, **own, **settings}
    with run_local.running(command, environ, GATEWAY, output) as process:
        url = f"http://localhost:{port}"
        run_local.wait_until_ready(url, {"gateway": process})
        yield Service(url, port, process)
