"""The page in a real browser: headless Chromium against a real gunicorn."""

import os
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from gateway_testing.fake_serving import FakeServing, sports_outputs
from gateway_testing.image_server import ImageServer
from gateway_testing.service import Service, gateway
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SCREENSHOTS = os.environ.get("SCREENSHOTS")  # a folder to keep pictures of the page in
SAMPLES = Path(__file__).parents[2] / "dataset/samples"

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def service(serving: FakeServing, image_server: ImageServer) -> Iterator[Service]:
    sources = {
        "GATEWAY_ALLOW_PRIVATE_SOURCES": "true",
        "GATEWAY_ALLOWED_PORTS": str(image_server.port),
    }
    with gateway(serving.host, **sources) as service:
        yield service


@pytest.fixture
def page(browser: Browser, service: Service) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if "Policy" in line.text else None)
    elsewhere: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url))
    page.goto(service.url)
    yield page
    assert not complaints
    own = (service.url, "data:", "blob:")
    assert all(url.startswith(own) for url in elsewhere)
    context.close()


def choose(page: Page, data: bytes, name: str = "image.jpg") -> None:
    file = {"name": name, "mimeType": "image/jpeg", "buffer": data}
    page.get_by_label("Choose a picture").set_input_files(file)


def check_accessible(page: Page) -> None:
    violations = Axe().run(page).response["violations"]
    grave = [one for one in violations if one["impact"] in ("serious", "critical")]
    assert not grave, [(one["id"], one["nodes"][0]["html"]) for one in grave]


def test_a_file(page: Page, jpeg: bytes) -> None:
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


def test_a_dropped_file(page: Page, jpeg: bytes) -> None:
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


def test_a_pasted_picture(page: Page, jpeg: bytes) -> None:
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


def test_an_address_by_keyboard(page: Page, image_server: ImageServer) -> None:
    page.get_by_label("or the address of one").focus()
    page.keyboard.type(image_server.url("/image.jpg"))
    page.keyboard.press("Enter")
    expect(page.locator("#words")).to_contain_text("cricket")
    expect(page.locator("#preview")).to_be_hidden()
    expect(page.locator("#times")).to_contain_text("fetching")


@pytest.mark.parametrize(
    ("url", "told"),
    [("/missing.jpg", "The source answered 404."), ("/page.html", "not a readable JPEG")],
)
def test_an_error_in_plain_words(
    page: Page, image_server: ImageServer, url: str, told: str
) -> None:
    image_server.routes["/page.html"] = b"<!doctype html>"
    page.get_by_label("or the address of one").fill(image_server.url(url))
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("alert")).to_contain_text(told)
    expect(page.locator("#problem-advice")).not_to_be_empty()
    expect(page.locator("#told")).to_be_hidden()
    check_accessible(page)


def test_the_service_is_away(page: Page, service: Service, jpeg: bytes) -> None:
    service.process.terminate()
    service.process.wait()
    choose(page, jpeg)
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer.")


def test_none_of_the_seven(page: Page, serving: FakeServing, jpeg: bytes) -> None:
    serving.outputs = {
        **sports_outputs(),
        "in_domain": np.full(1, 0.1, np.float32),
        "heatmaps": np.zeros((1, 8, 8), np.float32),
    }
    choose(page, jpeg)
    expect(page.locator("#words")).to_contain_text("Probably none of the seven")


def test_the_heat_map(page: Page, jpeg: bytes) -> None:
    choose(page, jpeg)
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


def test_a_model_that_cannot_explain(page: Page, serving: FakeServing, jpeg: bytes) -> None:
    del serving.signatures["explain"]
    serving.version = 2
    choose(page, jpeg, "first.jpg")
    choose(page, jpeg)
    expect(page.locator("#words")).to_contain_text("cricket")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone(page: Page, jpeg: bytes, scheme: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme=scheme)
    choose(page, jpeg, "a name that is longer than any telephone is wide " * 3)
    expect(page.locator("#words")).to_contain_text("cricket")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    check_accessible(page)


def test_a_hostile_name_is_only_text(page: Page, image_server: ImageServer, jpeg: bytes) -> None:
    choose(page, jpeg, "<img src=x onerror=alert(1)>.jpg")
    expect(page.locator("#source")).to_have_text("<img src=x onerror=alert(1)>.jpg")
    expect(page.locator("#source img")).to_have_count(0)


def test_only_the_latest_answer_is_shown(page: Page, serving: FakeServing, jpeg: bytes) -> None:
    serving.delay = 0.5
    choose(page, jpeg, "first.jpg")
    choose(page, jpeg, "second.jpg")
    expect(page.locator("#source")).to_have_text("second.jpg")
    page.wait_for_timeout(700)
    expect(page.locator("#source")).to_have_text("second.jpg")


def test_how_much_later_the_page_answers(
    page: Page, service: Service, jpeg: bytes, capsys: pytest.CaptureFixture
) -> None:
    def by_api() -> float:
        began = time.perf_counter()
        image = {"Content-Type": "image/jpeg"}
        requests.post(f"{service.url}/v1/predictions?explain=true", jpeg, headers=image, timeout=9)
        return time.perf_counter() - began

    def by_page(number: int) -> float:
        name = f"{number}.jpg"
        began = time.perf_counter()
        choose(page, jpeg, name)
        expect(page.locator("#source")).to_have_text(name)
        return time.perf_counter() - began

    pairs = [(by_api(), by_page(number)) for number in range(5)]
    later = statistics.median(page - api for api, page in pairs)
    with capsys.disabled():
        print(f"\nthe page shows the answer {1000 * later:.0f} ms after the API gives it")


def test_the_description_of_the_api(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/docs")
    expect(page.get_by_text("/v1/predictions").first).to_be_visible()
    page.get_by_text("Is anybody there?").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".responses-table.live-responses-table")).to_contain_text("pong")


@pytest.mark.skipif(not SCREENSHOTS, reason="SCREENSHOTS names no folder; SERVICE a running one")
def test_screenshots(browser: Browser) -> None:
    for name, width, scheme in (("page", 760, "light"), ("phone", 360, "dark")):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.goto(os.environ["SERVICE"])
        page.get_by_label("Choose a picture").set_input_files(SAMPLES / "soccer.jpg")
        page.get_by_label("Show where the model looked").check()
        expect(page.locator("#words")).not_to_be_empty()
        page.locator("#result").screenshot(path=f"{SCREENSHOTS}/{name}.png")
        page.close()
