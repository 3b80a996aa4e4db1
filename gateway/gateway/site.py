"""The page, and the API's description with a viewer."""

import hashlib
import mimetypes
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from flask import (
    Blueprint,
    Response,
    jsonify,
    make_response,
    render_template,
    request,
    send_from_directory,
)
from flask.typing import ResponseReturnValue

from gateway.api_page import api_page
from gateway.context import current_gateway
from gateway.version import VERSION

PAGE = Path(__file__).parent / "page"
OPENAPI = Path(__file__).parent / "openapi.yaml"
DAY = 86_400  # seconds
EXAMPLES = sorted(file.stem for file in (PAGE / "examples").glob("*.jpg"))
MODULES = sorted({file.name for file in PAGE.glob("*.js")} - {"docs.js"})
# Nothing from elsewhere and nothing inline; data: and blob: are images that the page makes itself.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

site = Blueprint("site", __name__, template_folder=str(PAGE))


@site.after_app_request
def protect(response: Response) -> Response:
    response.headers.extend(HEADERS)
    return response


@site.get("/")
def page() -> Response:
    html = render_template(
        "index.html", settings=current_gateway().settings, examples=EXAMPLES, modules=MODULES
    )
    return _conditional(html)


@site.get("/page/<name>")
def page_file(name: str) -> Response:
    return send_from_directory(PAGE, name)


@site.get("/page/examples/<name>")
def example(name: str) -> Response:
    return send_from_directory(PAGE / "examples", name)


@site.get("/openapi.json")
def openapi() -> ResponseReturnValue:
    return jsonify(_openapi())


@site.get("/docs")
def docs() -> Response:
    return _conditional(_docs())


@site.get("/docs/<any('swagger-ui.css','swagger-ui-bundle.js'):name>")
def viewer_file(name: str) -> Response:
    body, etag = _viewer_file(name)
    response = Response(body, mimetype=mimetypes.guess_type(name)[0])
    response.set_etag(etag)
    response.cache_control.max_age = DAY
    response.make_conditional(request)  # in place
    return response


def _conditional(html: str) -> Response:
    """A page, not sent again to those who have it."""
    response = make_response(html)
    response.add_etag()
    response.make_conditional(request)  # in place
    return response


@cache
def _docs() -> str:
    return api_page(_openapi())


@cache
def _openapi() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(OPENAPI.read_text())
    document["info"]["version"] = VERSION
    return document


@cache
def _viewer_file(name: str) -> tuple[bytes, str]:
    """One of Swagger UI's files, large enough to be kept, and its hash.

    It is from the package that ships them, whose code is not imported.
    """
    package = find_spec("swagger_ui")
    assert package is not None
    assert package.submodule_search_locations
    body = (Path(package.submodule_search_locations[0]) / "static" / name).read_bytes()
    return body, hashlib.sha256(body).hexdigest()
