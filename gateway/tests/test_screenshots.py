"""Images of the page for the README: SCREENSHOTS names a folder, SERVICE a running service."""

import io
import os
from pathlib import Path

import pytest
from page.checks import PHONE
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, expect

FOLDER = os.environ.get("SCREENSHOTS")
SAMPLES = Path(__file__).parents[2] / "dataset/samples"
HEAT = "Show where the model looked"
DESKTOP: ViewportSize = {"width": 1100, "height": 620}
WIDTH = 880  # of the moving image, in pixels
COLOURS = 255

pytestmark = pytest.mark.skipif(not FOLDER, reason="SCREENSHOTS names no folder")


class Film:
    """Screenshots of a page, each shown for a time of its own."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._images: list[Image.Image] = []
        self._milliseconds: list[int] = []

    def take(self, milliseconds: int, images: int = 1) -> None:
        for _ in range(images):
            image = Image.open(io.BytesIO(self._page.screenshot()))
            height = round(image.height * WIDTH / image.width)
            self._images.append(image.convert("RGB").resize((WIDTH, height)))
            self._milliseconds.append(milliseconds)

    def save(self, file: Path) -> None:
        """Write a GIF that repeats for ever, all its images with the same colours."""
        height = self._images[0].height
        everything = Image.new("RGB", (WIDTH, height * len(self._images)))
        for number, image in enumerate(self._images):
            everything.paste(image, (0, height * number))
        palette = everything.quantize(COLOURS)
        first, *more = (
            image.quantize(palette=palette, dither=Image.Dither.NONE) for image in self._images
        )
        first.save(file, save_all=True, append_images=more, duration=self._milliseconds, loop=0)


def test_screenshots(browser: Browser) -> None:
    take_still(browser, "phone.png", "tennis", color_scheme="dark", **PHONE)
    page = browser.new_page(viewport=DESKTOP)
    page.goto(os.environ["SERVICE"])
    take_film(page).save(Path(FOLDER or "") / "page.gif")


def take_still(browser: Browser, name: str, sample: str, **options: object) -> None:
    page = browser.new_page(**options)  # type: ignore[arg-type]
    page.goto(os.environ["SERVICE"])
    answer(page, sample)
    page.get_by_label(HEAT).check()
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(600)  # the bars grow
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    image.quantize().save(f"{FOLDER}/{name}", optimize=True)


def take_film(page: Page) -> Film:
    film = Film(page)
    expect(page.locator("#lanes")).to_contain_text("karate")
    film.take(1500)
    answer(page, "badminton")
    film.take(90, images=4)
    page.wait_for_timeout(600)
    film.take(2000)
    page.get_by_label(HEAT).check()
    film.take(2500)
    page.get_by_label(HEAT).uncheck()
    several = ["tennis", "swimming", "cricket", "soccer"]
    page.locator("#file").set_input_files([SAMPLES / f"{name}.jpg" for name in several])
    expect(page.locator("#grid img")).to_have_count(1 + len(several))
    page.wait_for_timeout(600)
    film.take(3500)
    return film


def answer(page: Page, sample: str) -> None:
    page.locator("#file").set_input_files(SAMPLES / f"{sample}.jpg")
    expect(page.locator("#source")).to_have_text(f"{sample}.jpg")
    expect(page.locator("#answer")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#told")).to_be_visible()
    # It says how busy this machine is, and nothing about the service.
    page.locator("#times").evaluate("times => { times.style.visibility = 'hidden'; }")
