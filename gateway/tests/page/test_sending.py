"""The ways in which images come to the page."""

import base64

import pytest
from gateway_testing.image_server import ImageServer
from playwright.sync_api import Page, expect

from page.checks import PHONE, choose, expect_label, file
from page.conftest import NewPage

TRANSFER = """([event, texts, bytes]) => {
    const transfer = new DataTransfer();
    for (const [type, text] of Object.entries(texts)) transfer.setData(type, text);
    const options = { type: "image/png" };
    if (bytes) transfer.items.add(new File([new Uint8Array(bytes)], "moved.png", options));
    document.dispatchEvent(event === "drop"
        ? new DragEvent("drop", { dataTransfer: transfer, cancelable: true })
        : new ClipboardEvent("paste", { clipboardData: transfer }));
}"""


def test_a_chosen_file_is_classified(page: Page, jpeg: bytes) -> None:
    choose(page, file(jpeg))
    expect_label(page)
    expect(page.locator("#score")).to_have_text("88.0\u00a0%")
    expect(page.locator("#times")).to_contain_text("model")
    expect(page.locator("#source")).to_have_text("image.jpg")
    expect(page.locator("#preview")).to_be_visible()
    expect(page.locator("#file")).to_have_value("")  # so that the same file can be chosen again


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_file_is_dropped_or_pasted(page: Page, jpeg: bytes, event: str) -> None:
    page.evaluate(TRANSFER, [event, {}, list(jpeg)])
    expect(page.locator("#source")).to_have_text("moved.png")
    expect_label(page)


def test_an_address_is_dropped_or_pasted(page: Page, image_server: ImageServer) -> None:
    url = image_server.url("/image.jpg")
    moved = [
        ("drop", {"text/uri-list": f"# from another tab\n{url}"}),
        ("drop", {"text/html": f'<a href="/x"><img src="{url}"></a>', "text/plain": "/x"}),
        ("paste", {"text/plain": f" {url}\n"}),
    ]
    for count, (event, texts) in enumerate(moved, 1):
        page.evaluate(TRANSFER, [event, texts, None])
        expect(page.locator("#grid li")).to_have_count(count)
        expect(page.locator("#source")).to_have_text(url)
        expect_label(page)


def test_an_image_is_dragged_out_of_a_pages_text(page: Page, jpeg: bytes) -> None:
    html = f'<img src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">'
    page.evaluate(TRANSFER, ["drop", {"text/html": html}, None])
    expect(page.locator("#source")).to_have_text("dragged image")
    expect_label(page)


def test_what_is_no_image_gets_an_answer_too(page: Page) -> None:
    page.evaluate(TRANSFER, ["drop", {"text/plain": "a ball"}, None])
    expect(page.get_by_role("alert")).to_contain_text("neither an image nor the address of one")


def test_several_images_give_a_grid(page: Page, jpeg: bytes) -> None:
    files = [file(jpeg, f"{number}.jpg") for number in range(17)]
    files[1] = file(b"no image", "broken.jpg")
    choose(page, *files)
    grid = page.locator("#grid li")
    expect(grid).to_have_count(16)
    expect(page.get_by_text("Only the first 16 images were sent.")).to_be_visible()
    expect(page.locator("#results-title")).to_be_in_viewport()
    expect(page.locator("#grid img")).to_have_count(15)
    expect(grid.first.get_by_role("button")).to_have_attribute("aria-current", "true")
    expect(grid.nth(1)).to_contain_text("Unsupported image")
    grid.nth(1).get_by_role("button").click()
    expect(page.get_by_role("alert")).to_contain_text("not a readable JPEG")
    expect(page.get_by_text("Kick off with an image")).to_be_visible()
    grid.last.get_by_role("button").click()
    expect(page.locator("#source")).to_have_text("15.jpg")
    expect_label(page)


def test_the_image_of_an_address_is_shown_with_its_heat_map(
    page: Page, image_server: ImageServer
) -> None:
    page.get_by_label("Address of an image").focus()
    page.keyboard.type(image_server.url("/image.jpg"))
    page.keyboard.press("Enter")
    expect_label(page)
    assert (page.locator("#preview").get_attribute("src") or "").startswith("data:image/jpeg;")
    page.get_by_label("Show where the model looked").check()
    expect(page.locator("#heat")).to_be_visible()
    expect(page.locator("#times")).to_contain_text("fetching")
    expect(page.locator("#times")).to_contain_text("Shown as the model saw it.")


def test_the_examples_are_clicked_or_linked_to(page: Page, new_page: NewPage) -> None:
    expect(page.locator("#examples button")).to_have_count(8)
    page.get_by_role("button", name="Example: karate").click()
    expect(page.locator("#source")).to_have_text("karate.jpg")
    expect_label(page)
    linked = new_page("/?example=tennis")
    expect(linked.locator("#source")).to_have_text("tennis.jpg")
    expect_label(linked)


def test_a_phone_has_a_camera(page: Page, new_page: NewPage, jpeg: bytes) -> None:
    expect(page.locator("#take")).to_be_hidden()
    phone = new_page(**PHONE)
    expect(phone.locator("#take")).to_be_visible()
    camera = phone.get_by_label("Camera")
    expect(camera).to_have_attribute("capture", "environment")
    camera.set_input_files(file(jpeg))
    expect_label(phone)


def test_a_hostile_name_is_only_text(page: Page, jpeg: bytes) -> None:
    name = "<img src=x onerror=alert(1)>.jpg"
    choose(page, file(jpeg, name))
    expect_label(page)
    expect(page.locator("#source")).to_have_text(name)
    expect(page.locator("#grid")).to_contain_text(name)
    expect(page.locator("[src=x]")).to_have_count(0)
