import json
from typing import TypedDict

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
DEVICES = pytest.mark.parametrize("device", [{}, PHONE], ids=["desktop", "phone"])
PREDICTIONS = "**/v1/predictions*"
UNAUTHORIZED = {
    "type": "/problems/unauthorized",
    "title": "Unauthorized",
    "status": 401,
    "detail": "No key.",
}
SETTLED = """() => {
    const ends = (animation) => animation.effect.getComputedTiming().endTime < Infinity;
    return Promise.all(document.getAnimations().filter(ends).map(({ finished }) => finished));
}"""


class File(TypedDict):
    name: str
    mimeType: str
    buffer: bytes


def file(data: bytes, name: str = "image.jpg", kind: str = "image/jpeg") -> File:
    return {"name": name, "mimeType": kind, "buffer": data}


def choose(page: Page, *files: File) -> None:
    page.locator("#file").set_input_files(list(files))


def ask_for(page: Page, url: str) -> None:
    page.get_by_label("Address of an image").fill(url)
    page.get_by_role("button", name="Ask", exact=True).click()


def expect_label(page: Page, label: str = "cricket") -> None:
    expect(page.locator("#label")).to_have_text(label)
    expect(page.locator("#answer")).to_have_attribute("aria-busy", "false")


def refuse(route: Route) -> None:
    """As a service whose key is missing or wrong."""
    text, kind = json.dumps(UNAUTHORIZED), "application/problem+json"
    route.fulfill(status=401, content_type=kind, body=text)


def check_accessible(page: Page) -> None:
    """axe finds nothing, neither in light nor in dark."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.evaluate(SETTLED)
        violations = Axe().run(page).response["violations"]
        assert not violations, [(scheme, one["id"], one["nodes"][0]["html"]) for one in violations]
