"""Why TensorFlow Serving, which has no handler for SIGTERM, must not be process 1.

docker-compose gives it an init, Kubernetes a process namespace with others.
"""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest
from machine import ROOT, need, need_mounts, need_root

WENT_ON = 7
ALONE: tuple[str, ...] = ()
WITH_INIT = ("tini", "--")


@pytest.mark.parametrize(
    ("init", "status"), [(ALONE, WENT_ON), (WITH_INIT, 128 + signal.SIGTERM)], ids=["alone", "init"]
)
def test_a_server_without_a_handler(init: tuple[str, ...], status: int, tmp_path: Path) -> None:
    need_root()
    need("unshare", *init[:1])
    need_mounts()
    server = tmp_path / "tensorflow_model_server"
    server.write_text(f"#!/bin/sh\necho started\nread line\nexit {WENT_ON}\n")
    server.chmod(0o755)
    command = ["unshare", "--pid", "--fork", "--kill-child", *init, str(ROOT / "model/serve.sh")]
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    process = subprocess.Popen(
        command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "started\n"
    first = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    os.kill(int(first), signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(3)  # the signal may take a moment to arrive
    process.communicate("\n", timeout=30)  # only who is still there reads the line
    assert process.returncode == status
