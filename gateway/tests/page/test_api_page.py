"""The API's description as a page."""

from typing import Any

import pytest
from playwright.sync_api import expect

from page.checks import check_accessible
from page.conftest import NewPage


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_api_can_be_tried(new_page: NewPage, scheme: Any) -> None:
    page = new_page("/docs", color_scheme=scheme)
    expect(page.get_by_text("/v1/predictions").first).to_be_visible()
    page.get_by_text("Check that the service answers").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".responses-table.live-responses-table")).to_contain_text("pong")
    check_accessible(page)
