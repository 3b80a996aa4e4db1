"""The API's description as a page."""

from gateway_testing.service import Service
from playwright.sync_api import Page, expect

from page.checks import check_accessible


def test_the_api_can_be_tried(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/docs")
    expect(page.get_by_text("/v1/predictions").first).to_be_visible()
    page.get_by_text("Check that the service answers").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".responses-table.live-responses-table")).to_contain_text("pong")
    check_accessible(page)
    page.emulate_media(color_scheme="dark")
    check_accessible(page)
