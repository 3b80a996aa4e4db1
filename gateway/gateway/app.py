"""The Flask application, put together."""

import threading
from pathlib import Path

from flask import Flask
from flask_cors import CORS
from werkzeug.middleware.proxy_fix import ProxyFix

from gateway import compression, context, logs, probes, problems, telemetry, views
from gateway.cache import Cache
from gateway.classifier import Classifier
from gateway.clients import Clients
from gateway.concurrency import ConcurrencyLimit
from gateway.config import Settings
from gateway.decoders import Decoders
from gateway.feedback import FeedbackStore
from gateway.fetcher import Fetcher
from gateway.metrics import Metrics
from gateway.model_client import ModelClient
from gateway.problem_pages import problem_pages
from gateway.site import site


def create_app(settings: Settings | None = None) -> Flask:
    """Wire the parts together; without settings, read them from the environment.

    Raises:
        ValueError: a setting cannot be read; the text names its variable.
    """
    settings = settings or Settings.from_env()
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.json.sort_keys = False  # type: ignore[attr-defined]
    metrics = Metrics()
    classifier = Classifier(
        settings,
        Fetcher(settings),
        ModelClient(settings),
        metrics,
        ConcurrencyLimit(settings.max_in_flight, "Too many images are being worked on."),
        Decoders(settings.decoders, settings.decode_seconds, settings.max_in_flight // 2, metrics),
        Cache(settings.cache_entries, settings.cache_seconds) if settings.cache_entries else None,
    )
    slots = threading.BoundedSemaphore(settings.max_in_flight)
    app.extensions["gateway"] = context.Gateway(
        settings, Clients(settings), classifier, slots, metrics, _feedback_store(settings)
    )
    context.register(app)
    if settings.allowed_origins:
        _allow_other_origins(app, settings.allowed_origins)
    app.register_blueprint(views.api)
    app.register_blueprint(probes.probes)
    app.register_blueprint(site)
    app.register_blueprint(problem_pages)
    problems.register(app)
    logs.register(app)
    telemetry.register(app)
    compression.register(app)
    if settings.trusted_proxies:
        proxies = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies, x_proto=0)
        app.wsgi_app = proxies  # type: ignore[method-assign]
    if settings.allow_private_sources:
        app.logger.warning(
            "GATEWAY_ALLOW_PRIVATE_SOURCES is on: URLs may lead into the private network"
        )
    return app


def _allow_other_origins(app: Flask, origins: tuple[str, ...]) -> None:
    """Let pages of these origins ask; keys come in a header, so cookies are not needed."""
    CORS(
        app,
        origins=list(origins),
        methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
        expose_headers=["RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID"],
        max_age=7200,  # seconds for which a browser need not ask again
    )


def _feedback_store(settings: Settings) -> FeedbackStore | None:
    if not settings.feedback_folder:
        return None
    return FeedbackStore(Path(settings.feedback_folder), settings.feedback_max_bytes)
