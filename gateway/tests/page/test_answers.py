"""How an answer is shown, and what can be done with it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gateway_testing.drawings import encode, gradient
from gateway_testing.fake_serving import FakeServing, Outputs, sports_outputs
from gateway_testing.image_server import ImageServer
from playwright.sync_api import Page, expect

from page.checks import DEVICES, ask_for, choose, expect_label, file
from page.conftest import NewPage

ROUNDED = """async (values) => {
    const { percent } = await import("/page/words.js");
    return values.map((value) => percent(value).replaceAll("\\u00a0", " "));
}"""


def outputs(**changes: Any) -> Outputs:
    heatmaps = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8)
    return {**sports_outputs(), "heatmaps": heatmaps, **changes}


@DEVICES
def test_the_verdict_is_seen_without_scrolling(
    new_page: NewPage, jpeg: bytes, device: dict[str, Any]
) -> None:
    page = new_page(**device)
    choose(page, file(jpeg, "a name that is longer than any telephone is wide " * 3))
    expect_label(page)
    for seen in ("#preview", "#verdict", "#lanes"):
        expect(page.locator(seen)).to_be_in_viewport(ratio=0.99)
    expect(page.locator("#verdict")).to_be_focused()
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    choose(page, file(b"no image"))
    expect(page.get_by_role("alert")).to_be_in_viewport(ratio=0.99)


def test_each_label_keeps_its_lane(page: Page, serving: FakeServing, jpeg: bytes) -> None:
    for top in ("cricket", "tennis"):
        serving.outputs = outputs(**sports_outputs(1, top))
        choose(page, file(jpeg))
        expect_label(page, top)
        lanes = page.locator("#lanes b").all_inner_texts()
        assert lanes == sorted(lanes)
        expect(page.locator("#lanes .first")).to_contain_text(top)


def test_only_what_is_certain_has_100_percent(page: Page) -> None:
    values = [1, 0.99999, 0.9996, 0.9968, 0.123, 0.0005, 0.0004, 0]
    rounded = ["100 %", "> 99.9 %", "> 99.9 %", "99.7 %", "12.3 %", "0.1 %", "< 0.1 %", "0 %"]
    assert page.evaluate(ROUNDED, values) == rounded


def test_none_of_the_seven_does_not_look_like_a_winner(
    page: Page, serving: FakeServing, jpeg: bytes
) -> None:
    serving.outputs = outputs(in_domain=np.full(1, 0.1, np.float32))
    choose(page, file(jpeg))
    expect_label(page, "Probably none of the seven")
    expect(page.locator("#score")).to_be_empty()
    expect(page.locator("#note")).to_have_text("Cricket comes closest.")
    colours = page.locator(".bar i").evaluate_all(
        "bars => bars.map((bar) => getComputedStyle(bar).backgroundColor)"
    )
    assert len(set(colours)) == 1
    expect(page.locator("#grid")).to_contain_text("none of the seven")


def test_bars_are_seen_with_forced_colours(page: Page, jpeg: bytes) -> None:
    page.emulate_media(forced_colors="active")
    choose(page, file(jpeg))
    expect_label(page)
    ground, *bars = page.locator("#lanes, .bar i").evaluate_all(
        "all => all.map((one) => getComputedStyle(one).backgroundColor)"
    )
    assert ground not in bars
    assert len(set(bars)) == 2  # the best has a colour of its own


def test_the_heat_map_covers_the_image_and_has_a_legend(page: Page) -> None:
    choose(page, file(encode(gradient(900, 200))))
    expect_label(page)
    expect(page.locator("#heat")).to_be_hidden()
    expect(page.locator("#legend")).to_be_hidden()
    page.get_by_label("Show where the model looked").check()
    expect(page.locator("#legend")).to_be_visible()
    image, heat = page.locator("#preview").bounding_box(), page.locator("#heat").bounding_box()
    assert image == heat
    assert image
    assert image["width"] / image["height"] == pytest.approx(4.5, rel=0.05)
    lightness = page.evaluate(
        """async () => {
            const { colour } = await import("/page/heatmap.js");
            const weigh = ([red, green, blue]) => 0.2126 * red + 0.7152 * green + 0.0722 * blue;
            return Array.from({ length: 33 }, (_, i) => weigh(colour(i / 32)));
        }"""
    )
    assert lightness == sorted(lightness)


def test_another_models_labels_are_shown(
    new_page: NewPage, serving: FakeServing, jpeg: bytes
) -> None:
    serving.version = 2
    serving.signatures.pop("explain")
    serving.outputs = {
        "probabilities": np.array([[0.1, 0.7, 0.2]], np.float32),
        "labels": np.array([["cat", "dog", "owl"]]),
        "in_domain": np.full(1, 0.9, np.float32),
    }
    page = new_page()
    for number in (1, 2):  # the first answer tells the gateway of the new version
        choose(page, file(jpeg, f"{number}.jpg"))
        expect(page.locator("#source")).to_have_text(f"{number}.jpg")
        expect_label(page, "dog")
    expect(page.locator("#heat-switch")).to_be_hidden()
    assert page.locator("#lanes b").all_inner_texts() == ["cat", "dog", "owl"]
    page = new_page()
    expect(page.locator("#note")).to_have_text("Cat, dog or owl? The model says which.")
    assert page.locator("#lanes b").all_inner_texts() == ["cat", "dog", "owl"]


@pytest.mark.parametrize("by_url", [False, True])
def test_the_lines_for_programs_work(
    page: Page, jpeg: bytes, image_server: ImageServer, tmp_path: Path, by_url: bool
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    if by_url:
        ask_for(page, image_server.url("/image.jpg"))
    else:
        name = 'it\'s a; "ball".jpg'
        (tmp_path / name).write_bytes(jpeg)
        choose(page, file(jpeg, name))
    expect_label(page)
    page.get_by_text("Ask from a program").click()
    for program, run in (("curl", ["sh", "-c"]), ("python", [sys.executable, "-c"])):
        button = page.locator(f"[data-copies={program}]")
        button.click()
        expect(button).to_have_text("Copied")
        line = page.evaluate("navigator.clipboard.readText()")
        answer = subprocess.run(
            [*run, line], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout
        assert "cricket" in answer


def test_the_right_label_is_sent(page: Page, jpeg: bytes, feedback_folder: Path) -> None:
    choose(page, file(jpeg))
    expect_label(page)
    page.get_by_text("Wrong?").click()
    right = page.get_by_label("It shows")
    assert "cricket" not in right.locator("option").all_inner_texts()
    right.select_option("tennis")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Thank you.")).to_be_visible()
    [stored] = (feedback_folder / "labels/tennis").glob("*.jpg")
    assert stored.read_bytes() == jpeg
