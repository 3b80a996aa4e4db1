"""python -m model_server --port=8500 --model_name=NAME --model_base_path=FOLDER"""

import argparse
import logging
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import openvino
import tensorflow as tf
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from model_server import engines, processor
from model_server.batching import BatchingParameters
from model_server.services import ModelService, PredictionService
from model_server.versions import Versions

GRACE_SECONDS = 10
MAX_MESSAGE_BYTES = 2**31 - 1  # TensorFlow Serving's own limit
THREADS = 64  # each waits in the batching queue with one request

log = logging.getLogger("model_server")


def read_flags(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="model_server", description=__doc__)
    add = parser.add_argument
    add("--port", type=int, default=8500, help="gRPC port; 0 takes a free one")
    add("--model_name", default="default")
    add("--model_base_path", type=Path, required=True, help="the folder of the version folders")
    add("--enable_batching", type=_switch, nargs="?", const=True, default=False)
    add("--batching_parameters_file", type=Path, help="as TensorFlow Serving reads it")
    add("--file_system_poll_wait_seconds", type=float, default=1.0)
    add("--tensorflow_intra_op_parallelism", type=int, default=0, help="0: TensorFlow's choice")
    add("--tensorflow_inter_op_parallelism", type=int, default=0, help="0: TensorFlow's choice")
    add(
        "--engine",
        choices=("auto", *engines.ENGINES),
        default="auto",
        help="what computes; auto takes OpenVINO where there is AVX2, and never int8",
    )
    add(
        "--mixed_precision",
        choices=("auto", "bfloat16", "off"),
        default="auto",
        help="bfloat16 where the processor has it (auto), or not at all (off)",
    )
    flags = parser.parse_args(arguments)
    if not flags.model_base_path.is_dir():
        parser.error(f"--model_base_path: no such folder: {flags.model_base_path}")
    if flags.batching_parameters_file and not flags.enable_batching:
        parser.error("--batching_parameters_file is given without --enable_batching")
    return flags


def main() -> None:
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", level="INFO")
    logging.getLogger("tensorflow").setLevel("ERROR")  # it deprecates sessions with every load
    flags = read_flags()
    try:
        precision = processor.precision(flags.mixed_precision, processor.flags())
        batching = read_batching(flags)
    except (OSError, ValueError) as error:
        sys.exit(f"model_server: {error}")
    threads = flags.tensorflow_intra_op_parallelism
    config = processor.session_config(precision, threads, flags.tensorflow_inter_op_parallelism)
    engine = engines.choose(flags.engine, processor.flags())
    runtime = engines.Runtime(engines.make(engine, precision, threads), config, batching)
    log.info(
        "starting: engine %s (TensorFlow %s, OpenVINO %s), %s, threads %s (intra op) "
        "and %s (inter op), %s",
        engine,
        tf.__version__,
        openvino.__version__,
        precision,
        threads or "automatic",
        config.inter_op_parallelism_threads or "automatic",
        batching or "no batching",
    )

    healthy = health.HealthServicer()
    healthy.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    versions = Versions(
        flags.model_name,
        flags.model_base_path,
        runtime,
        on_available=lambda: healthy.set("", health_pb2.HealthCheckResponse.SERVING),
    )
    server, port = make_server(versions, healthy, flags.port)
    signals = receive_signals(signal.SIGTERM, signal.SIGINT)
    watcher = threading.Thread(
        target=versions.watch, args=[flags.file_system_poll_wait_seconds], daemon=True
    )
    server.start()
    watcher.start()
    log.info("listening on port %d for model %s", port, flags.model_name)

    signals.recv(1)
    log.info("stopping")
    healthy.enter_graceful_shutdown()
    versions.stop()
    server.stop(GRACE_SECONDS).wait()
    logging.shutdown()
    os._exit(0)  # a version that is still being loaded would abort the interpreter's own exit


def read_batching(flags: argparse.Namespace) -> BatchingParameters | None:
    if not flags.enable_batching:
        return None
    file = flags.batching_parameters_file
    return BatchingParameters.read(file) if file else BatchingParameters()


def receive_signals(*numbers: signal.Signals) -> socket.socket:
    """A socket with a byte for each signal that comes.

    An Event would not do: the kernel may hand a signal to any of the libraries' threads, and
    Python's main thread does not learn of that while it waits for a lock.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    signal.set_wakeup_fd(sender.detach())
    for number in numbers:
        signal.signal(number, lambda *_: None)
    return receiver


def make_server(
    versions: Versions, healthy: health.HealthServicer, port: int
) -> tuple[grpc.Server, int]:
    """A server that is bound and not yet started, and its port.

    Raises:
        SystemExit: the port is taken.
    """
    server = grpc.server(
        ThreadPoolExecutor(THREADS),
        options=[
            ("grpc.so_reuseport", 0),  # or two servers would share a port and its requests
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(versions), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(versions), server)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    try:
        return server, server.add_insecure_port(f"[::]:{port}")
    except RuntimeError:
        sys.exit(f"model_server: port {port} is taken")


def _switch(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


if __name__ == "__main__":
    main()
