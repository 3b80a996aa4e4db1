"""The log: JSON, one line a request."""

import logging
import time
from typing import Any

import structlog
from flask import Flask, Response, request

from gateway.records import current_record

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
# For logging.config.dictConfig; gunicorn's own lines have the same form.
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
    """Log every request of `app` once it is answered."""

    @app.after_request
    def log(response: Response) -> Response:
        record = current_record()
        fields: dict[str, Any] = {
            "request_id": record.request_id,
            "client": request.remote_addr,
            "method": request.method,
            "path": request.path,
            "status": response.status_code,
            "bytes": response.content_length,
            "seconds": round(time.monotonic() - record.started, 4),
        }
        if record.problem:
            fields |= {"reason": record.problem, "cause": record.cause}
        if predictions := record.predictions():
            fields |= {
                "images": len(predictions),
                "labels": [found.label if found else None for found in predictions],
                "known": [found.known if found else None for found in predictions],
                "version": next((found.version for found in predictions if found), None),
            }
        for stage in sorted(record.all_stages(), key=lambda stage: stage.seconds):
            fields[f"{stage.name}_seconds"] = round(stage.seconds, 4)  # of several, the longest
        requests.log(level_of(response.status_code), "request", extra=fields)
        return response


def level_of(status: int) -> int:
    """The level at which an answer with this HTTP status is logged."""
    if status < 400:
        return logging.INFO
    return logging.WARNING if status < 500 else logging.ERROR
