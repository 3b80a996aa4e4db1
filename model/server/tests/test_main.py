"""The server as a process: flags, log, signals."""

import ctypes
import re
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from conftest import Client, pixels
from saved_models import write_warm_up

from model_server import processor


class Server:
    def __init__(self, *flags: str) -> None:
        command = [sys.executable, "-m", "model_server", "--port=0", "--model_name=m", *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.log: list[str] = []

    def wait_for(self, pattern: str) -> re.Match[str]:
        assert self.process.stderr
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(pattern, line):
                return found
        pytest.fail("".join(self.log))

    def finish(self) -> str:
        return "".join(self.log) + self.process.communicate(timeout=60)[1]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_is_finished(models: Path, how: signal.Signals) -> None:
    server = Server(f"--model_base_path={models}", "--enable_batching=true")
    port = server.wait_for(r"listening on port (\d+)")[1]
    server.wait_for("version 2 available")
    with grpc.insecure_channel(f"localhost:{port}") as channel, ThreadPoolExecutor(1) as pool:
        client = Client(channel, versions=None)
        answer = pool.submit(client.predict, "slow", images=pixels())
        threading.Event().wait(0.1)
        server.process.send_signal(how)
        assert answer.result()["mean"] == [7]
    output = server.finish()
    assert server.process.returncode == 0
    assert "stopping" in output
    assert "Traceback" not in output


def test_a_signal_that_the_kernel_hands_to_another_thread(models: Path) -> None:
    server = Server(f"--model_base_path={models}")
    server.wait_for("version 2 available")
    process = server.process.pid
    threads = [int(thread.name) for thread in Path(f"/proc/{process}/task").iterdir()]
    other = next(thread for thread in threads if thread != process)
    ctypes.CDLL(None).tgkill(process, other, signal.SIGTERM)
    assert "stopping" in server.finish()
    assert server.process.returncode == 0


def test_stopping_while_a_version_is_loaded(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "1", tmp_path / "1")
    write_warm_up(tmp_path / "1", *[""] * 1000)
    server = Server(f"--model_base_path={tmp_path}")
    server.wait_for("loading version 1")
    threading.Event().wait(0.3)
    server.process.terminate()
    assert "available" not in server.finish()
    assert server.process.returncode == 0


def test_the_log_names_what_it_runs_on(models: Path) -> None:
    server = Server(f"--model_base_path={models}", "--mixed_precision=off")
    line = server.wait_for(r"TensorFlow \d+\.\d+.*float32").string
    assert "no batching" in line
    server.wait_for("available")
    server.process.terminate()
    server.finish()


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ([], "--model_base_path"),
        (["--model_base_path=/nowhere"], "no such folder: /nowhere"),
        (["--model_base_path=.", "--enable_batching=perhaps"], "neither true nor false"),
        (["--model_base_path=.", "--batching_parameters_file=x"], "without --enable_batching"),
        (
            ["--model_base_path=.", "--enable_batching", "--batching_parameters_file=/nowhere"],
            "No such file",
        ),
    ],
)
def test_flags_that_make_no_sense(flags: list[str], why: str) -> None:
    server = Server(*flags)
    assert why in server.finish()
    assert server.process.returncode != 0


def test_a_port_that_is_taken(models: Path) -> None:
    first = Server(f"--model_base_path={models}")
    port = first.wait_for(r"listening on port (\d+)")[1]
    second = Server(f"--model_base_path={models}", f"--port={port}")
    assert f"port {port} is taken" in second.finish()
    assert second.process.returncode == 1
    first.process.terminate()
    first.finish()


@pytest.mark.parametrize(
    ("wanted", "flags", "chosen"),
    [
        ("auto", {"avx2"}, "float32"),
        ("auto", {"avx2", "avx512_bf16"}, "bfloat16"),
        ("auto", {"amx_bf16"}, "bfloat16"),
        ("bfloat16", {"avx512_bf16"}, "bfloat16"),
        ("off", {"avx512_bf16"}, "float32"),
    ],
)
def test_precision_follows_the_processor(wanted: str, flags: set[str], chosen: str) -> None:
    assert processor.precision(wanted, flags) == chosen


def test_bfloat16_is_refused_where_it_would_crawl() -> None:
    with pytest.raises(ValueError, match="no bfloat16 instructions"):
        processor.precision("bfloat16", {"avx2"})


def test_the_processors_flags(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nflags\t\t: fpu avx2 amx_bf16\n\nprocessor : 1\n")
    assert processor.flags(cpuinfo) == {"fpu", "avx2", "amx_bf16"}
    assert processor.flags(tmp_path / "nothing") == set()
