"""The API's description agrees with the service and the README; the page is safe to serve."""

import html
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import validate
from werkzeug import Response

from gateway.errors import FeedbackNotStored, GatewayError
from gateway.problem_pages import problems
from gateway.site import HEADERS, PAGE

API = (Path(__file__).parents[2] / "docs/api.md").read_text()
HIDDEN = {
    "/page/<name>",
    "/page/examples/<name>",
    "/docs/<any('swagger-ui.css','swagger-ui-bundle.js'):name>",
}


def get(client: FlaskClient, path: str) -> Response:
    """The whole response; its file is closed."""
    with client.get(path) as response:
        response.get_data()
        return response


@pytest.fixture
def document(client: FlaskClient) -> Any:
    return client.get("/openapi.json").json


def test_the_document_is_valid(document: Any) -> None:
    validate(document)
    assert document["openapi"].startswith("3.1")


def test_every_route_is_described(app: Flask, document: Any) -> None:
    routes = {
        (method.lower(), re.sub("[<>]", lambda mark: "{}"[mark[0] == ">"], rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule not in HIDDEN
    }
    described = {(method, path) for path, item in document["paths"].items() for method in item}
    assert routes == described
    for method, path in routes:
        assert f"`{method.upper()} {path}" in API


def titles() -> dict[int, set[str]]:
    """The titles of our errors, by status."""
    found: dict[int, set[str]] = {GatewayError.status: {GatewayError.title}}
    for error in GatewayError.__subclasses__():
        found.setdefault(error.status, set()).add(error.title)
    return found


FEEDBACK_ONLY = {str(FeedbackNotStored.status)}


@pytest.mark.parametrize(
    ("path", "without", "more"),
    [
        ("/predict", FEEDBACK_ONLY, {"200"}),
        ("/v1/predictions", FEEDBACK_ONLY, {"200"}),
        ("/v1/feedback", set(), {"202", "404"}),
    ],
)
def test_every_error_is_in_the_document(
    document: Any, path: str, without: set[str], more: set[str]
) -> None:
    responses = document["paths"][path]["post"]["responses"]
    assert set(responses) == {*map(str, titles())} - without | more


def test_the_examples_of_problems_are_our_errors(document: Any) -> None:
    known = {**titles(), 404: {"Not Found"}}
    for response in document["components"]["responses"].values():
        example = response["content"]["application/problem+json"]["example"]
        assert example["title"] in known[example["status"]]
        assert example["type"].endswith(example["title"].lower().replace(" ", "-"))


def test_the_answer_has_the_described_properties(
    document: Any, client: FlaskClient, jpeg: bytes
) -> None:
    url = "/v1/predictions?explain=1&preview=1"
    answer: Any = client.post(url, data=jpeg, content_type="image/jpeg").json
    [prediction] = answer["predictions"]
    schema = document["components"]["schemas"]["Prediction"]
    assert set(prediction) == set(schema["properties"])
    assert set(schema["required"]) == set(prediction) - {"heatmap", "preview"}


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/ping", "/nothing", "/predict"])
def test_every_response_has_the_security_headers(client: FlaskClient, path: str) -> None:
    headers = get(client, path).headers
    for name, value in HEADERS.items():
        assert headers.getlist(name) == [value]
    assert "unsafe" not in headers["Content-Security-Policy"]


def test_the_page_loads_nothing_from_elsewhere_and_nothing_inline() -> None:
    for file in PAGE.glob("*.[!tw]*"):  # not the font and its licence
        text = file.read_text().replace("https://example.com/image.jpg", "")
        text = text.replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.search(r"https?://(?!\.)", text.replace("with https://.", ""))
        if file.suffix == ".html":
            assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\bsrc=)", text)


def test_the_page_is_small(client: FlaskClient) -> None:
    text = get(client, "/").get_data(as_text=True)
    files = set(re.findall(r'(?:src|href)="(/page/[^"]+)"', text))
    examples = {file for file in files if file.startswith("/page/examples/")}
    assert len(files - examples) >= 10
    assert sum(len(get(client, file).data) for file in files - examples | {"/"}) <= 60_000
    assert len(examples) == len(list((PAGE / "examples").iterdir()))
    assert sum(len(get(client, file).data) for file in examples) <= 120_000


@pytest.mark.parametrize("name", ["../views.py", "..%2fviews.py", "nothing.js", ".", "/etc/passwd"])
def test_only_the_pages_files_are_served(client: FlaskClient, name: str) -> None:
    for folder in ("/page/", "/page/examples/", "/docs/"):
        assert get(client, folder + name).status_code == 404


def test_the_documentation_is_served_offline(client: FlaskClient) -> None:
    page = get(client, "/docs").get_data(as_text=True)
    script = get(client, "/page/docs.js").get_data(as_text=True)
    files = re.findall(r'(?:src|href)="(/[^"#]+)"', page) + re.findall(r'"(/docs/[^"]+)"', script)
    assert len(files) > 10
    for file in files:
        response = get(client, file)
        assert response.status_code == 200
        assert len(response.data) > 50


def test_the_documentation_has_every_route_and_problem(client: FlaskClient, document: Any) -> None:
    page = html.unescape(get(client, "/docs").get_data(as_text=True)).replace("<code>", "`")
    page = page.replace("</code>", "`")
    for path, item in document["paths"].items():
        assert all(operation["summary"] in page for operation in item.values())
        assert path in page
    assert all(f'href="/problems/{name}"' in page for name in problems())
    assert """/predict -H 'Content-Type: application/json' -d '{"url": "https://""" in page
    assert "/v1/feedback?label=tennis -F image=@image.jpg`" in page
    assert '"probability": 0.981,\n' in page


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_is_not_sent_again_when_it_is_known(client: FlaskClient, path: str) -> None:
    etag = client.get(path).headers["ETag"]
    assert client.get(path, headers={"If-None-Match": etag}).status_code == 304


def test_the_viewer_is_not_sent_again_when_it_is_known(client: FlaskClient) -> None:
    first = client.get("/docs/swagger-ui-bundle.js")
    assert first.status_code == 200
    assert first.headers["Cache-Control"] == "max-age=86400"
    again = client.get(
        "/docs/swagger-ui-bundle.js", headers={"If-None-Match": first.headers["ETag"]}
    )
    assert (again.status_code, again.data) == (304, b"")
