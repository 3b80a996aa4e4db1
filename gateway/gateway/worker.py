"""gunicorn's worker for the gateway: a loop that owns all connections, and threads.

The loop gives complete requests to threads, which make the answers. So clients can hold connections
and memory, for which there are limits, but neither the loop nor a thread.
"""

import math
import os
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from gunicorn.config import Config
from gunicorn.errors import ConfigError
from gunicorn.workers.base import Worker as BaseWorker

from gateway import memory
from gateway.answers import TITLES, answer
from gateway.client_connection import IN_LINE, ClientConnection, Phase
from gateway.config import Settings
from gateway.connection_loop import ConnectionLoop
from gateway.connection_table import Limits
from gateway.errors import slug
from gateway.request_reader import IncomingRequest

HEALTH = ("/healthz", "/ping")  # these have a thread of their own
AHEAD = 4
TICK = 1.0
SWITCH_SECONDS = 0.001  # so that the loop waits less for each busy thread
TRIM_SECONDS = 10.0
HEAD_SECONDS = 10.0
LINE_SECONDS = 2.0  # that a request waits for a slot: a refusal at once would be sent for again
LINGER_SECONDS = 2.0
MIN_MEMORY = 32_000_000  # bytes, for requests and answers together
OWN_FILES = 256  # for all but clients: sources, the model server, metrics, forms, decoders


class Worker(BaseWorker):  # type: ignore[misc]
    """Serves HTTP/1 without TLS."""

    alive: bool  # gunicorn's; False once the worker has to end

    @classmethod
    def check_config(cls, config: Config, _: object) -> None:
        if config.is_ssl or config.proxy_protocol != "off":
            raise ConfigError("gateway.worker.Worker has neither TLS nor the PROXY protocol")

    def run(self) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        self._threads = ThreadPoolExecutor(self.cfg.threads)
        self._health_thread = ThreadPoolExecutor(1)
        self._loop = self._connection_loop()
        self._ticked = self._trimmed = time.monotonic()
        while self.alive and os.getppid() == self.ppid:
            self._turn()
        self._loop.stop(LINGER_SECONDS)
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while len(self._loop) and time.monotonic() < deadline:
            self._turn()
        for pool in (self._threads, self._health_thread):
            pool.shutdown(wait=False, cancel_futures=True)

    def _connection_loop(self) -> ConnectionLoop:
        settings = Settings.from_env()
        connections = _connection_limit(self.cfg.worker_connections)
        limits = Limits(
            connections=connections,
            seconds={
                Phase.IDLE: float(self.cfg.keepalive),
                Phase.HEAD: HEAD_SECONDS,
                Phase.BODY: settings.request_timeout,
                **dict.fromkeys(IN_LINE, LINE_SECONDS),
                Phase.WORKING: math.inf,  # the application has its own deadlines
                Phase.SENDING: settings.request_timeout,
                Phase.LINGERING: LINGER_SECONDS,
            },
            memory=max(MIN_MEMORY, settings.max_in_flight * settings.max_body_bytes // 4),
            body_bytes=settings.max_body_bytes,
            slots=settings.max_in_flight,
            line=connections // 2,
            ahead=AHEAD,
        )
        # gunicorn writes to the pipe when a signal has come.
        return ConnectionLoop(self.sockets, self.PIPE, limits, self.cfg, self._start, self._refused)

    def _turn(self) -> None:
        self._loop.turn(TICK)
        now = time.monotonic()
        if now < self._ticked + TICK:
            return
        self._ticked = now
        self.notify()
        self._loop.listen()
        if now >= self._trimmed + TRIM_SECONDS:
            self._trimmed = now
            self._threads.submit(memory.trim)

    def _start(self, connection: ClientConnection, request: IncomingRequest) -> None:
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
        pool = self._health_thread if request.head.path in HEALTH else self._threads
        pool.submit(self._work, connection, request)

    def _refused(self, status: int) -> None:
        metrics = self.wsgi.extensions["gateway"].metrics
        metrics.requests.labels("none", status).inc()
        metrics.refusals.labels(slug(TITLES[status])).inc()

    def _work(self, connection: ClientConnection, request: IncomingRequest) -> None:
        keep = self.alive and self.cfg.keepalive > 0
        addresses = connection.client, connection.server
        sent, connection.keep = answer(self.wsgi, request, *addresses, self.cfg, keep)
        self._loop.answered(connection, connection.send(sent))


def _connection_limit(wanted: int) -> int:
    """Raise this process' limit of open files, if need be; how many connections fit below it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else min(wanted, soft - OWN_FILES)
