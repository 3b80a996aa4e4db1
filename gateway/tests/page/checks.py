from typing import TypedDict

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


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


def check_accessible(page: Page) -> None:
    page.evaluate("Promise.all(document.getAnimations().map((animation) => animation.finished))")
    violations = Axe().run(page).response["violations"]
    assert not violations, [(one["id"], one["nodes"][0]["html"]) for one in violations]
