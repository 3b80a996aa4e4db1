"""The API's description as a page."""

from gateway_testing.service import Service
from playwright.sync_api import Page, expect

from page.checks import check_accessible


def test_the_api_can_be_read_and_tried(page: Page, service: Service) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{service.url}/docs")
    expect(
        page.get_by_text(f"curl {service.url}/v1/predictions -F image=@image.jpg")
    ).to_be_visible()
    check_accessible(page)
    assert not [url for url in asked if "swagger" in url]  # 1.5 MB, which reading does not need
    page.get_by_role("button", name="Try it here").click()
    page.locator("#viewer").get_by_text("Check that the service answers").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".responses-table.live-responses-table")).to_contain_text("pong")
    check_accessible(page)
    page.get_by_role("button", name="Read it").click()
    expect(page.locator("#viewer")).to_be_hidden()
    check_accessible(page)


def test_what_cannot_be_loaded_is_said(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/docs")
    page.route("**/swagger-ui-bundle.js", lambda route: route.abort())
    page.get_by_role("button", name="Try it here").click()
    expect(page.get_by_text("The service does not answer.")).to_be_visible()
    page.unroute("**/swagger-ui-bundle.js")
    page.get_by_role("button", name="Try it here").click()
    expect(page.locator("#viewer")).to_contain_text("/v1/predictions")


def test_the_page_of_a_problem_is_accessible(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/problems/source-refused")
    check_accessible(page)
