"""The gRPC server, from its start to its stop on a signal."""

import argparse
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import openvino
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from model_server.servable import Runtime
from model_server.services import handlers
from model_server.versions import Versions

GRACE_SECONDS = 10
POLL_SECONDS = 0.02
MAX_MESSAGE_BYTES = 2**31 - 1  # TensorFlow Serving's own limit
HEALTH_SERVICES = ("", "PredictionService", "ModelService")  # TensorFlow Serving's names

log = logging.getLogger("model_server")


def run(flags: argparse.Namespace, runtime: Runtime) -> None:
    """Serve until SIGTERM or SIGINT, finish the requests in flight, and end the process.

    As TensorFlow Serving, it does not listen before the version is loaded that it finds first.

    Raises:
        SystemExit: the port is taken.
    """
    log.info(
        "starting: OpenVINO %s, precision %s, threads %s, %d concurrent requests, %s",
        openvino.__version__.split("-")[0],
        runtime.precision,
        runtime.threads or "automatic",
        flags.grpc_max_threads,
        runtime.batching or "no batching",
    )
    servicer = health.HealthServicer()
    set_health(servicer, False)
    versions = Versions(
        flags.model_name,
        flags.model_base_path,
        runtime,
        on_change=lambda is_available: set_health(servicer, is_available),
    )
    server = make_server(versions, servicer, flags.grpc_max_threads)
    signals = receive_signals(signal.SIGTERM, signal.SIGINT)
    watcher = threading.Thread(
        target=versions.watch, args=[flags.file_system_poll_wait_seconds], daemon=True
    )
    watcher.start()
    if wait_for(versions.first_tried, signals):
        address = listen(server, flags.port, flags.grpc_socket_path)
        server.start()
        log.info("listening on %s for model %s", address, flags.model_name)
        signals.recv(1)
    log.info("stopping")
    servicer.enter_graceful_shutdown()
    versions.stop()
    server.stop(GRACE_SECONDS).wait()
    logging.shutdown()
    os._exit(0)  # the normal exit aborts while a version is still being loaded


def make_server(versions: Versions, servicer: health.HealthServicer, threads: int) -> grpc.Server:
    """A server that does not listen yet.

    Args:
        versions: what it serves.
        servicer: its health service.
        threads: requests at once; more are refused with RESOURCE_EXHAUSTED.
    """
    server = grpc.server(
        ThreadPoolExecutor(threads),
        handlers(versions),
        options=[
            ("grpc.so_reuseport", 0),  # otherwise two servers could share a port
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ],
        maximum_concurrent_rpcs=threads,
    )
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    return server


def listen(server: grpc.Server, port: int, socket_path: str = "") -> str:
    """Bind a server; what it listens on, in words.

    Args:
        server: not started.
        port: 0 chooses a free one, or none if there is a socket.
        socket_path: a Unix socket, or an empty text.

    Raises:
        SystemExit: port or socket cannot be had.
    """
    addresses = []
    try:
        if socket_path:
            server.add_insecure_port(f"unix:{socket_path}")
            addresses.append(f"socket {socket_path}")
        if port or not socket_path:
            addresses.append(f"port {server.add_insecure_port(f'[::]:{port}')}")
    except RuntimeError:
        taken = f"port {port}" if addresses or not socket_path else f"socket {socket_path}"
        sys.exit(f"model_server: {taken} is taken")
    return " and ".join(addresses)


def wait_for(event: threading.Event, signals: socket.socket) -> bool:
    """Wait for an event; whether it came before a signal."""
    signals.settimeout(POLL_SECONDS)
    while not event.is_set():
        with contextlib.suppress(TimeoutError):
            signals.recv(1)
            return False
    signals.settimeout(None)
    return True


def set_health(servicer: health.HealthServicer, is_available: bool) -> None:
    """Report whether a version can be asked."""
    statuses = health_pb2.HealthCheckResponse
    status = statuses.SERVING if is_available else statuses.NOT_SERVING
    for service in HEALTH_SERVICES:
        servicer.set(service, status)


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
