"""The gRPC server, from its start to its stop on a signal."""

import argparse
import logging
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import openvino
import tensorflow as tf
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from model_server import engines, processor
from model_server.batching_parameters import BatchingParameters
from model_server.services import ModelService, PredictionService
from model_server.versions import Versions

GRACE_SECONDS = 10
MAX_MESSAGE_BYTES = 2**31 - 1  # TensorFlow Serving's own limit
THREADS = 64  # each serves one request, which may wait in the batching queue

log = logging.getLogger("model_server")


def run(flags: argparse.Namespace, precision: str, batching: BatchingParameters | None) -> None:
    """Serve until SIGTERM or SIGINT, finish the requests in flight, and end the process.

    Raises:
        SystemExit: the port is taken.
    """
    threads = flags.tensorflow_intra_op_parallelism
    config = engines.session_config(precision, threads, flags.tensorflow_inter_op_parallelism)
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

    health_servicer = health.HealthServicer()
    health_servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    versions = Versions(
        flags.model_name,
        flags.model_base_path,
        runtime,
        on_available=lambda: health_servicer.set("", health_pb2.HealthCheckResponse.SERVING),
    )
    server, port = make_server(versions, health_servicer, flags.port)
    signals = receive_signals(signal.SIGTERM, signal.SIGINT)
    watcher = threading.Thread(
        target=versions.watch, args=[flags.file_system_poll_wait_seconds], daemon=True
    )
    server.start()
    watcher.start()
    log.info("listening on port %d for model %s", port, flags.model_name)

    signals.recv(1)
    log.info("stopping")
    health_servicer.enter_graceful_shutdown()
    versions.stop()
    server.stop(GRACE_SECONDS).wait()
    logging.shutdown()
    os._exit(0)  # the normal exit aborts while a version is still being loaded


def make_server(
    versions: Versions, health_servicer: health.HealthServicer, port: int
) -> tuple[grpc.Server, int]:
    """A server that is bound but not started, and its port.

    Raises:
        SystemExit: the port is taken.
    """
    server = grpc.server(
        ThreadPoolExecutor(THREADS),
        options=[
            ("grpc.so_reuseport", 0),  # otherwise two servers could share a port
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(versions), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(versions), server)
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    try:
        return server, server.add_insecure_port(f"[::]:{port}")
    except RuntimeError:
        sys.exit(f"model_server: port {port} is taken")


def receive_signals(*numbers: signal.Signals) -> socket.socket:
    """A socket that receives a byte for each signal delivered to the process.

    The main thread waits on this socket and not on a threading.Event: a signal may be delivered
    to a thread of one of the libraries, and does not interrupt a wait for a lock in the main one.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    signal.set_wakeup_fd(sender.detach())
    for number in numbers:
        signal.signal(number, lambda *_: None)
    return receiver
