"""gunicorn's settings for the gateway; GUNICORN_CMD_ARGS overrides any of them."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
own_folder = "" if SHARED_FOLDER in os.environ else tempfile.mkdtemp(prefix="gateway-metrics-")
os.environ.setdefault(SHARED_FOLDER, own_folder)  # prometheus-client reads it when it is imported

from gunicorn.glogging import Logger  # noqa: E402
from prometheus_client.multiprocess import mark_process_dead  # noqa: E402

from gateway import logs  # noqa: E402
from gateway.config import Settings  # noqa: E402

if TYPE_CHECKING:
    from gunicorn.workers.base import Worker

try:
    settings = Settings.from_env()
except ValueError as error:
    sys.exit(str(error))

wsgi_app = "gateway.app:create_app()"
host = os.environ.get("HOST", "0.0.0.0")
bind = f"{f'[{host}]' if ':' in host else host}:{os.environ.get('PORT', '9696')}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gateway.worker.Worker"
# The spare threads refuse surplus requests and answer what needs no request slot.
threads = settings.max_in_flight + 8
timeout = int(settings.request_timeout) + 10
graceful_timeout = int(settings.request_timeout) + 5
keepalive = 5
preload_app = False  # a gRPC channel must not be inherited through a fork
control_socket_disable = True  # it would be written into the home folder
logconfig_dict = logs.CONFIG


class logger_class(Logger):  # type: ignore[misc]
    """Prepares no access log line: the application logs its requests itself."""

    def access(self, *_: object) -> None:
        pass


def on_starting(_: object) -> None:
    for file in Path(os.environ[SHARED_FOLDER]).glob(
        "*.db"
    ):  # from before a restart of the container
        file.unlink()


def post_worker_init(worker: "Worker") -> None:
    worker.wsgi.extensions["gateway"].classifier.decoders.start()


def child_exit(_: object, worker: "Worker") -> None:
    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(_: object) -> None:
    if own_folder:
        shutil.rmtree(own_folder, ignore_errors=True)
