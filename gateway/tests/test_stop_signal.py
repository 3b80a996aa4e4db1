"""No signal is lost, wherever the program is when it comes.

A KeyboardInterrupt that is raised while a connection pool is finalized is printed and dropped,
and the service would go on.
"""

import subprocess
import sys
from pathlib import Path

import run_local
from gateway_testing.fake_serving import FakeServing
from gateway_testing.ports import free_port

FOLDER = Path(run_local.__file__).parent

# Fifty signals, each sent by the finalizer of a connection pool.
IN_FINALIZERS = """
import os, signal, sys
import requests, urllib3.connectionpool
import run_local

def interrupt(pool, close=urllib3.connectionpool._close_pool_connections):
    global sent
    if not sent:
        sent = True
        os.kill(os.getpid(), signal.SIGINT)
    close(pool)

urllib3.connectionpool._close_pool_connections = interrupt
for number in range(50):
    sent = False
    stop = run_local.StopSignal(signal.SIGINT)
    session = requests.Session()
    session.get_adapter("http://localhost").poolmanager.connection_from_host("localhost", 1)
    assert not sent
    del session
    assert sent
    try:
        stop.sleep(60)
    except run_local.Stopped:
        print("stopped")
"""

# Fifty signals at random moments of a loop that makes and drops connection pools.
AT_RANDOM = """
import os, random, signal, threading
import requests
import run_local

random.seed(1)
for number in range(50):
    stop = run_local.StopSignal(signal.SIGINT)
    main = threading.get_ident()
    delay = random.uniform(0.0, 0.01)
    timer = threading.Timer(delay, lambda: signal.pthread_kill(main, signal.SIGINT))
    timer.start()
    try:
        while True:
            session = requests.Session()
            session.get_adapter("http://localhost").poolmanager.connection_from_host("localhost", 1)
            del session
            stop.sleep(0)
    except run_local.Stopped:
        print("stopped")
    timer.join()
"""

# `make run` with a signal from the finalizer of the first pool that is dropped.
MAKE_RUN = """
import os, signal
import urllib3.connectionpool
import run_local

def interrupt(pool, close=urllib3.connectionpool._close_pool_connections):
    os.kill(os.getpid(), signal.SIGINT)
    close(pool)

urllib3.connectionpool._close_pool_connections = interrupt
run_local.main()
"""


def run(code: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run Python code; what hangs is ended after two minutes."""
    command = ["timeout", "--signal=TERM", "--kill-after=60", "120", sys.executable, "-c", code]
    return subprocess.run(
        command, env=variables or None, cwd=FOLDER, capture_output=True, text=True, check=False
    )


def test_signals_in_finalizers_are_seen() -> None:
    ended = run(IN_FINALIZERS)
    assert ended.stdout.splitlines() == ["stopped"] * 50, ended.stderr
    assert ended.returncode == 0


def test_signals_at_random_moments_are_seen() -> None:
    ended = run(AT_RANDOM)
    assert ended.stdout.splitlines() == ["stopped"] * 50, ended.stderr
    assert ended.returncode == 0


def test_make_run_stops_when_the_signal_comes_in_a_finalizer(serving: FakeServing) -> None:
    import os

    port = str(free_port())
    ended = run(MAKE_RUN, **{**os.environ, "PORT": port, "TF_SERVING_HOST": serving.host})
    assert ended.returncode == 0, ended.stderr
