"""Images of the page for the README: SCREENSHOTS names a folder, SERVICE a running service."""

import os
import shutil
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FOLDER = os.environ.get("SCREENSHOTS")
SAMPLE = Path(__file__).parents[2] / "dataset/samples/soccer.jpg"
VIEWS: list[tuple[str, int, Literal["light", "dark"]]] = [
    ("page", 760, "light"),
    ("phone", 360, "dark"),
]


@pytest.mark.skipif(not (CHROMIUM and FOLDER), reason="SCREENSHOTS names no folder, or no chromium")
def test_screenshots() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, width, scheme in VIEWS:
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            page.goto(os.environ["SERVICE"])
            page.get_by_label("Choose an image").set_input_files(SAMPLE)
            page.get_by_label("Show where the model looked").check()
            expect(page.locator("#words")).not_to_be_empty()
            page.locator("#result").screenshot(path=f"{FOLDER}/{name}.png")
        browser.close()
