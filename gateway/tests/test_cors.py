"""Requests of pages on other origins."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import pytest
from flask.testing import FlaskClient
from gateway_testing.fake_serving import FakeServing
from gateway_testing.image_server import ImageServer, answer
from gateway_testing.service import gateway
from playwright.sync_api import Browser

ORIGIN = {"Origin": "https://shop.example"}
PREFLIGHT = {
    **ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}
ALLOWED = "Access-Control-Allow-Origin"
NewClient = Callable[..., FlaskClient]


@pytest.mark.parametrize("origins", [(), ("https://other.example",), ("http://shop.example",)])
def test_other_origins_are_refused(new_client: NewClient, origins: tuple[str, ...]) -> None:
    client = new_client(allowed_origins=origins)
    for response in (
        client.options("/predict", headers=PREFLIGHT),
        client.get("/v1/model", headers=ORIGIN),
    ):
        assert not [name for name in response.headers if name[0].startswith("Access-Control")]
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize("origins", [("https://a.example", "https://shop.example"), ("*",)])
def test_an_origin_of_the_setting_is_allowed(
    new_client: NewClient, origins: tuple[str, ...]
) -> None:
    client = new_client(allowed_origins=origins, api_keys=("key",))
    preflight = client.options("/v1/predictions", headers=PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.headers[ALLOWED] == "https://shop.example"
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "authorization" in preflight.headers["Access-Control-Allow-Headers"].lower()
    refused = client.post("/v1/predictions", headers=ORIGIN)
    assert refused.status_code == 401  # and the page can read why
    assert refused.headers[ALLOWED] == "https://shop.example"
    assert "Retry-After" in refused.headers["Access-Control-Expose-Headers"]
    assert "Origin" in refused.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in refused.headers


PAGE = """<script>
fetch("%s/predict", {method: "POST", body: "{}", headers: {"X-API-Key": "key"}})
    .then((response) => response.json())
    .then((answer) => { document.title = answer.title; })
    .catch((error) => { document.title = "refused"; });
</script>"""


def test_a_real_page_on_another_origin(browser: Browser, serving: FakeServing) -> None:
    server = ImageServer()
    origin = server.url("").rstrip("/")
    for allowed, expected in ((origin, "Invalid request"), ("https://other.example", "refused")):
        with gateway(serving.host, GATEWAY_ALLOWED_ORIGINS=allowed) as service:
            html = (PAGE % service.url).encode()

            def page(handler: BaseHTTPRequestHandler, html: bytes = html) -> None:
                answer(handler, html, Content_Type="text/html")

            server.routes["/page"] = page
            tab = browser.new_page()
            tab.goto(server.url("/page"))
            tab.wait_for_function("document.title", timeout=60_000)
            assert tab.title() == expected, json.dumps(allowed)
            tab.close()
    server.stop()
