"""What one gateway worker weighs and how soon it is ready.

    python bench/worker.py [--predictions 100]

Starts gunicorn with one worker against the embedded model server (or
TF_SERVING_HOST), asks for the predictions, and prints the seconds from start to
the first answer of /ping, the worker's resident memory, and whether TensorFlow
was loaded into it.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "gateway"))
import run_local  # noqa: E402  the same way to start as `make run`


def ready(url: str, began: float) -> float:
    while True:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"{url}/ping", timeout=1).ok:
                return time.perf_counter() - began
        time.sleep(0.005)


def worker_of(master: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{master.pid}/task/{master.pid}/children").read_text().split()
    return int(children[0])


def resident_megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"process {pid} does not say how large it is")


def loads_tensorflow(pid: int) -> bool:
    """Whether the process has mapped a library of TensorFlow's."""
    return "tensorflow" in Path(f"/proc/{pid}/maps").read_text()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictions", type=int, default=100)
    count = parser.parse_args().predictions
    samples = [path.read_bytes() for path in sorted((ROOT / "dataset/samples").glob("*.jpg"))]
    environ = dict(os.environ)
    with contextlib.ExitStack() as stack:
        host = environ.get("TF_SERVING_HOST")
        if not host:
            host = f"localhost:{run_local.free_port()}"
            command = run_local.server_command(environ, host)
            server = stack.enter_context(run_local.running(command, environ, ROOT / "model/server"))
            settings = run_local.settings({**environ, "TF_SERVING_HOST": host})
            run_local.wait_until_loaded(settings, {"model server": server})
        port = run_local.free_port()
        environ |= {"TF_SERVING_HOST": host, "PORT": str(port), "WEB_CONCURRENCY": "1"}
        url = f"http://localhost:{port}"
        began = time.perf_counter()
        command = [run_local.tool("gateway", "gunicorn"), "--access-logfile", "/dev/null"]
        master = stack.enter_context(run_local.running(command, environ, ROOT / "gateway"))
        seconds = ready(url, began)
        run_local.wait_until_ready(url, {"gateway": master})
        worker = worker_of(master)
        idle = resident_megabytes(worker)
        for i in range(count):
            response = requests.post(
                f"{url}/predict",
                data=samples[i % len(samples)],
                headers={"Content-Type": "image/jpeg"},
                timeout=60,
            )
            response.raise_for_status()
        print(f"ready after                  {seconds:6.2f} s")
        print(f"resident at the start        {idle:6.1f} MB")
        print(f"resident after {count:4} answers  {resident_megabytes(worker):6.1f} MB")
        print(f"TensorFlow in the worker     {'yes' if loads_tensorflow(worker) else 'no':>6}")


if __name__ == "__main__":
    main()
