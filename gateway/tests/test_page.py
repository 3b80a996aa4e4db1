"""The page in a real browser: headless Chromium against a real gunicorn."""

import shutil
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from gateway_testing.fake_serving import FakeServing, sports_outputs
from gateway_testing.image_server import ImageServer
from gateway_testing.service import Service, gateway, predict
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SECONDS = 60  # for the browser, on a busy machine

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=1000 * SECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shared_serving() -> Iterator[FakeServing]:
    fake = FakeServing()
    yield fake
    fake.stop()


@pytest.fixture(scope="module")
def image_server(jpeg: bytes) -> Iterator[ImageServer]:
    server = ImageServer()
    server.routes |= {"/image.jpg": jpeg, "/page.html": b"<!doctype html>"}
    yield server
    server.stop()


@pytest.fixture(scope="module")
def shared_service(shared_serving: FakeServing, image_server: ImageServer) -> Iterator[Service]:
    sources: dict[str, Any] = {
        "GATEWAY_ALLOW_PRIVATE_SOURCES": "true",
        "GATEWAY_ALLOWED_PORTS": str(image_server.port),
    }
    with gateway(shared_serving.host, **sources) as service:
        yield service


@pytest.fixture
def serving(
    shared_serving: FakeServing, shared_service: Service, jpeg: bytes
) -> Iterator[FakeServing]:
    yield shared_serving
    changed = shared_serving.version != 1
    shared_serving.reset()
    if changed:
        predict(shared_service, jpeg)  # so that the gateway reads the signature again


@pytest.fixture
def page(browser: Browser, shared_service: Service) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    context.set_default_timeout(1000 * SECONDS)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if "Policy" in line.text else None)
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(shared_service.url)
    yield page
    assert not errors
    assert all(url.startswith((shared_service.url, "data:", "blob:")) for url in requested)
    context.close()


def choose(page: Page, data: bytes, name: str = "image.jpg") -> None:
    page.get_by_label("Choose an image").set_input_files(
        {"name": name, "mimeType": "image/jpeg", "buffer": data}
    )


def check_accessible(page: Page) -> None:
    violations = Axe().run(page).response["violations"]
    grave = [one for one in violations if one["impact"] in ("serious", "critical")]
    assert not grave, [(one["id"], one["nodes"][0]["html"]) for one in grave]


def test_a_chosen_file_is_classified(page: Page, jpeg: bytes) -> None:
    choose(page, jpeg)
    expect(page.get_by_text("This is cricket, at 88 %.").first).to_be_visible()
    bars = page.locator("#bars li")
    expect(bars).to_have_count(7)
    expect(bars.first).to_contain_text("cricket")
    values = [float(bar.get_attribute("value") or 0) for bar in page.locator("#bars meter").all()]
    assert values == sorted(values, reverse=True)
    expect(page.locator("#times")).to_contain_text("the model")
    expect(page.locator("#preview")).to_be_visible()
    expect(page.locator("#history li")).to_have_count(1)
    check_accessible(page)


def test_a_dropped_file_is_classified(page: Page, jpeg: bytes) -> None:
    transfer = page.evaluate_handle(
        """bytes => {
            const transfer = new DataTransfer();
            const file = new File([new Uint8Array(bytes)], "dropped.jpg", { type: "image/jpeg" });
            transfer.items.add(file);
            return transfer;
        }""",
        list(jpeg),
    )
    page.dispatch_event("#drop", "dragover", {"dataTransfer": transfer})
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    expect(page.locator("#source")).to_have_text("dropped.jpg")
    expect(page.locator("#words")).to_contain_text("cricket")


def test_a_pasted_image_is_classified(page: Page, jpeg: bytes) -> None:
    page.evaluate(
        """bytes => {
            const clipboardData = new DataTransfer();
            const file = new File([new Uint8Array(bytes)], "image.png", { type: "image/png" });
            clipboardData.items.add(file);
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData }));
        }""",
        list(jpeg),
    )
    expect(page.locator("#words")).to_contain_text("cricket")


def test_an_address_is_entered_by_keyboard(page: Page, image_server: ImageServer) -> None:
    page.get_by_label("or enter its address").focus()
    page.keyboard.type(image_server.url("/image.jpg"))
    page.keyboard.press("Enter")
    expect(page.locator("#words")).to_contain_text("cricket")
    expect(page.locator("#preview")).to_be_hidden()
    expect(page.locator("#times")).to_contain_text("fetching")


@pytest.mark.parametrize(
    ("path", "text"),
    [("/missing.jpg", "The source answered 404."), ("/page.html", "not a readable JPEG")],
)
def test_an_error_is_shown_in_plain_words(
    page: Page, image_server: ImageServer, path: str, text: str
) -> None:
    page.get_by_label("or enter its address").fill(image_server.url(path))
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("alert")).to_contain_text(text)
    expect(page.locator("#problem-advice")).not_to_be_empty()
    expect(page.locator("#told")).to_be_hidden()
    check_accessible(page)


def test_an_unreachable_service_is_reported(page: Page, jpeg: bytes) -> None:
    page.context.set_offline(True)
    choose(page, jpeg)
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer.")


def test_none_of_the_seven_is_said(page: Page, serving: FakeServing, jpeg: bytes) -> None:
    serving.outputs = {
        **sports_outputs(),
        "in_domain": np.full(1, 0.1, np.float32),
        "heatmaps": np.zeros((1, 8, 8), np.float32),
    }
    choose(page, jpeg)
    expect(page.locator("#words")).to_contain_text("Probably none of the seven")


def test_the_heat_map_covers_the_image(page: Page, jpeg: bytes) -> None:
    choose(page, jpeg)
    expect(page.locator("#words")).to_contain_text("cricket")
    expect(page.locator("#heat")).to_be_hidden()
    page.get_by_label("Show where the model looked").check()
    expect(page.locator("#heat")).to_be_visible()
    frame, heat = page.locator("#preview").bounding_box(), page.locator("#heat").bounding_box()
    assert frame == heat
    alpha = page.evaluate(
        """() => {
            const canvas = document.getElementById("heat");
            const data = canvas.getContext("2d").getImageData(0, 0, 8, 8).data;
            return [data[3], data[8 * 8 * 4 - 1]];
        }"""
    )
    assert alpha == [0, 190]


def test_a_model_without_explanations_is_asked_without(
    page: Page, serving: FakeServing, jpeg: bytes
) -> None:
    del serving.signatures["explain"]
    serving.version = 2
    choose(page, jpeg, "first.jpg")
    expect(page.locator("#source")).to_have_text("first.jpg")
    choose(page, jpeg, "second.jpg")
    expect(page.locator("#source")).to_have_text("second.jpg")
    expect(page.locator("#words")).to_contain_text("cricket")
    expect(page.locator("#heat-switch")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone(page: Page, jpeg: bytes, scheme: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme=scheme)
    choose(page, jpeg, "a name that is longer than any telephone is wide " * 3)
    expect(page.locator("#words")).to_contain_text("cricket")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    check_accessible(page)


def test_a_hostile_name_is_only_text(page: Page, jpeg: bytes) -> None:
    choose(page, jpeg, "<img src=x onerror=alert(1)>.jpg")
    expect(page.locator("#source")).to_have_text("<img src=x onerror=alert(1)>.jpg")
    expect(page.locator("#source img")).to_have_count(0)


def test_only_the_latest_answer_is_shown(page: Page, serving: FakeServing, jpeg: bytes) -> None:
    finished: list[Request] = []
    page.on("requestfinished", lambda request: finished.append(request))
    serving.answering.clear()
    choose(page, jpeg, "first.jpg")
    choose(page, jpeg, "second.jpg")
    serving.answering.set()
    deadline = time.monotonic() + SECONDS
    while sum("/predictions" in request.url for request in finished) < 2:
        assert time.monotonic() < deadline
        page.wait_for_timeout(20)
    page.evaluate("() => new Promise(requestAnimationFrame)")  # the page has seen both
    expect(page.locator("#source")).to_have_text("second.jpg")
    expect(page.locator("#history li")).to_have_count(1)


def test_the_api_can_be_tried_in_its_documentation(page: Page, shared_service: Service) -> None:
    page.goto(f"{shared_service.url}/docs")
    expect(page.get_by_text("/v1/predictions").first).to_be_visible()
    page.get_by_text("Check that the service answers").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".responses-table.live-responses-table")).to_contain_text("pong")
