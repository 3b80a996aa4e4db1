"""Flask gateway in front of TensorFlow Serving: which of seven sports does a picture show?"""

import threading

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from gateway import errors, logs, telemetry, views
from gateway.cache import Cache
from gateway.classifier import Classifier
from gateway.clients import Clients
from gateway.config import Settings
from gateway.fetcher import Fetcher
from gateway.metrics import Metrics
from gateway.serving import Model
from gateway.shares import Shares
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
    entries = settings.cache_entries
    cache = Cache(entries, settings.cache_seconds) if entries else None
    app.extensions["gateway"] = views.Gateway(
        settings=settings,
        clients=Clients(settings),
        classifier=Classifier(
            settings,
            Fetcher(settings),
            Model(settings),
            metrics,
            Shares(settings.max_in_flight, "Too many pictures are being fetched."),
            Shares(settings.max_image_pixels, "Too many large pictures are being decoded."),
            cache,
        ),
        places=threading.BoundedSemaphore(settings.max_in_flight),
        metrics=metrics,
    )
    app.register_blueprint(views.api)
    app.register_blueprint(site)
    errors.register(app)
    logs.register(app)
    telemetry.register(app)
    if settings.trusted_proxies:
        proxies = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies, x_proto=0)
        app.wsgi_app = proxies  # type: ignore[method-assign]
    if settings.allow_private_sources:
        app.logger.warning("GATEWAY_ALLOW_PRIVATE_SOURCES is on: URLs may lead inside the network")
    return app
