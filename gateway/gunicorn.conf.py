"""How gunicorn runs the gateway; GUNICORN_CMD_ARGS overrides any of it."""

import os

from gateway.config import Settings

settings = Settings.from_env()

wsgi_app = "gateway:create_app()"
bind = f"0.0.0.0:{os.environ.get('PORT', '9696')}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
# The spare threads turn away what is too much, and answer health checks.
threads = settings.max_in_flight + 8
timeout = int(settings.request_timeout) + 10
graceful_timeout = int(settings.request_timeout) + 5
keepalive = 5
preload_app = False  # a gRPC channel must not be inherited through a fork
control_socket_disable = True  # it would be written into the home folder
accesslog = "-"
access_log_format = (
    '{"time": "%(t)s", "client": "%(h)s", "request": "%(r)s", "status": %(s)s,'
    ' "bytes": %(B)s, "seconds": %(L)s, "request_id": "%({x-request-id}o)s"}'
)
