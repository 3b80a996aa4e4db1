"""python -m model_server --port=8500 --model_name=NAME --model_base_path=FOLDER"""

import argparse
import logging
import os
import sys
from pathlib import Path

from model_server import precision, server
from model_server.batching_parameters import BatchingParameters
from model_server.servable import Runtime


def read_flags(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="model_server", description=__doc__)
    add = parser.add_argument
    add("--port", type=int, default=8500, help="gRPC port; 0 chooses a free one")
    add("--grpc_socket_path", default="", help="also a Unix socket; with --port=0 it alone")
    add("--model_name", default="default", help="the name that requests must give")
    add("--model_base_path", type=Path, required=True, help="the folder of the version folders")
    add(
        "--precision",
        choices=precision.CHOICES,
        default="auto",
        help="auto: the fastest that the processor has and the version's check has passed",
    )
    add(
        "--enable_batching",
        type=_read_bool,
        nargs="?",
        const=True,
        default=False,
        help="run concurrent requests as one batch",
    )
    add("--batching_parameters_file", type=Path, help="in TensorFlow Serving's format")
    add("--file_system_poll_wait_seconds", type=float, default=1.0)
    add(
        "--grpc_max_threads",
        type=_read_count,
        default=4 * _processors(),
        help="requests at once, by default 4 per processor; more are refused",
    )
    add("--tensorflow_intra_op_parallelism", type=int, default=0, help="0: OpenVINO's choice")
    add("--cache_folder", type=Path, help="keeps compiled networks for the next start")
    flags = parser.parse_args(arguments)
    if not flags.model_base_path.is_dir():
        parser.error(f"--model_base_path: no such folder: {flags.model_base_path}")
    if flags.batching_parameters_file and not flags.enable_batching:
        parser.error("--batching_parameters_file is given without --enable_batching")
    return flags


def read_runtime(flags: argparse.Namespace) -> Runtime:
    """How to compute versions.

    Raises:
        OSError, ValueError: a file cannot be read, or the processor lacks the precision.
    """
    precision.check(flags.precision)
    batching = None
    if flags.enable_batching:
        file = flags.batching_parameters_file
        batching = BatchingParameters.read(file) if file else BatchingParameters()
    if flags.cache_folder:
        flags.cache_folder.mkdir(parents=True, exist_ok=True)
    threads = flags.tensorflow_intra_op_parallelism
    return Runtime(flags.precision, batching, threads, flags.cache_folder)


def main() -> None:
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", level="INFO")
    flags = read_flags()
    try:
        runtime = read_runtime(flags)
    except (OSError, ValueError) as error:
        sys.exit(f"model_server: {error}")
    server.run(flags, runtime)


def _processors() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _read_bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _read_count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


if __name__ == "__main__":
    main()
