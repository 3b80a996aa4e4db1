"""The log: JSON, one line a request."""

import logging
import time
from typing import Any

import structlog
from flask import Flask, Response, g, request

requests = logging.getLogger("gateway.requests")
SHARED = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False)  # they may hold a key
    ),
]
FORMAT: dict[str, Any] = {
    "foreign_pre_chain": SHARED,
    "processors": [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(sort_keys=False),
    ],
}
# For logging.config.dictConfig; gunicorn's own lines take the same form.
CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": structlog.stdlib.ProcessorFormatter, **FORMAT}},
    "handlers": {
        "output": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "formatter": "json",
        }
    },
    "root": {"level": "INFO", "handlers": ["output"]},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
    },
}


def register(app: Flask) -> None:
    """Log every request of `app` when it is answered."""

    @app.after_request
    def log(response: Response) -> Response:
        fields: dict[str, Any] = {
            "request_id": g.get("request_id", ""),
            "client": request.remote_addr,
            "method": request.method,
            "path": request.path,
            "status": response.status_code,
            "bytes": response.content_length,
            "seconds": round(time.monotonic() - g.began, 4),
        }
        if "reason" in g:
            fields |= {"reason": g.reason, "cause": g.get("cause", "")}
        if outcomes := g.get("outcomes", []):
            fields["pictures"] = len(outcomes)
            for stage in outcomes[0].stages:  # of several, the first one's
                fields[f"{stage.name}_seconds"] = round(stage.seconds, 4)
        requests.info("request", extra=fields)
        return response
