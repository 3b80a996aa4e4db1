"""What the page says when something goes wrong."""

import pytest
from gateway_testing.image_server import ImageServer
from playwright.sync_api import Locator, Page, Route, expect

from page.checks import PREDICTIONS, ask_for, choose, expect_label, file, refuse
from page.conftest import MAX_IMAGE_BYTES


@pytest.mark.parametrize(
    ("path", "text"),
    [("/missing.jpg", "The source answered 404."), ("/page.html", "not a readable JPEG")],
)
def test_what_happened_is_said_with_what_helps(
    page: Page, image_server: ImageServer, path: str, text: str
) -> None:
    ask_for(page, image_server.url(path))
    problem = page.get_by_role("alert")
    expect(problem).to_contain_text(text)
    expect(page.locator("#told")).to_be_hidden()
    advice, happened = page.locator("#problem-advice"), page.locator("#problem-text")
    expect(advice).not_to_be_empty()
    assert weight(advice) < weight(happened)
    page.get_by_role("link", name="More about this").click()
    expect(page.get_by_role("heading", name="What to do")).to_be_visible()


def weight(locator: Locator) -> int:
    return int(locator.evaluate("element => getComputedStyle(element).fontWeight"))


def test_an_unreachable_service_is_reported(page: Page, jpeg: bytes) -> None:
    page.context.set_offline(True)
    choose(page, file(jpeg))
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer.")


def test_a_large_file_is_told_the_limit(page: Page) -> None:
    choose(page, file(b"." * (MAX_IMAGE_BYTES + 100_000), "large.jpg"))
    expect(page.get_by_role("alert")).to_contain_text("large.jpg is 1.6 MB.")
    expect(page.get_by_role("alert")).to_contain_text("The limit is 1.5 MB and 50 megapixels")


def test_heic_is_named(page: Page) -> None:
    choose(page, file(b"no image", "IMG_1.HEIC", "image/heic"))
    expect(page.get_by_role("alert")).to_contain_text("This looks like HEIC")
    expect(page.get_by_text("Kick off with an image")).to_be_visible()


@pytest.mark.parametrize(
    ("status", "text"),
    [(413, "A server in between refuses images"), (502, "A server in between answered 502")],
)
def test_a_proxys_answer_is_told_apart(page: Page, jpeg: bytes, status: int, text: str) -> None:
    page.route(PREDICTIONS, lambda route: route.fulfill(status=status, body="<h1>nginx</h1>"))
    choose(page, file(jpeg))
    expect(page.get_by_role("alert")).to_contain_text(text)


def test_a_missing_key_is_asked_for(page: Page, jpeg: bytes) -> None:
    def answer(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer secret":
            route.continue_()
        else:
            refuse(route)

    page.route(PREDICTIONS, answer)
    expect(page.get_by_text("API key")).to_be_hidden()
    choose(page, file(jpeg))
    expect(page.get_by_role("alert")).to_contain_text("This service asks for a key.")
    expect(page.locator("#key")).to_be_focused()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("This key is not accepted.")
    page.locator("#key").fill("secret")
    page.keyboard.press("Enter")
    expect_label(page)
    page.get_by_text("Ask from a program").click()
    expect(page.locator("#curl")).to_contain_text("Bearer $KEY")
