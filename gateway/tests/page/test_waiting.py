"""While the page asks, and what it keeps of the answers."""

from gateway_testing.fake_serving import FakeServing
from playwright.sync_api import Page, Route, expect

from page.checks import PREDICTIONS, ask_for, choose, expect_label, file
from page.conftest import NewPage


def test_a_question_can_be_cancelled(page: Page, serving: FakeServing, jpeg: bytes) -> None:
    choose(page, file(jpeg, "first.jpg"))
    expect_label(page)
    serving.answering.clear()
    choose(page, file(jpeg, "second.jpg"))
    expect(page.locator("#wait")).to_be_in_viewport(ratio=1)
    expect(page.locator(".spinner")).to_be_visible()
    expect(page.locator("#label")).to_have_text("cricket")
    expect(page.locator("#verdict")).to_have_css("filter", "grayscale(1)")
    expect(page.get_by_role("status").first).to_have_text("Looking …")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("Stopped.")
    expect(page.locator("#wait")).to_be_hidden()
    serving.answering.set()
    page.get_by_role("button", name="Try again").click()
    expect_label(page)
    expect(page.locator("#source")).to_have_text("second.jpg")


def test_the_pitch_is_empty_until_the_image_of_an_address_comes(page: Page) -> None:
    held: list[Route] = []
    page.route(PREDICTIONS, lambda route: held.append(route))
    ask_for(page, "https://example.com/image.jpg")
    expect(page.locator("#wait")).to_be_visible()
    expect(page.locator("#invitation")).to_be_hidden()
    held[0].abort()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("#invitation")).to_be_visible()


def test_labels_are_shown_also_when_they_come_late(
    page: Page, serving: FakeServing, jpeg: bytes
) -> None:
    held: list[Route] = []
    page.route("**/v1/model", lambda route: held.append(route))
    page.reload()
    serving.answering.clear()
    choose(page, file(jpeg))
    expect(page.locator("#wait")).to_be_visible()
    held[0].continue_()
    expect(page.locator("#lanes b").first).to_have_text("badminton")
    serving.answering.set()
    expect_label(page)


def test_a_service_that_does_not_answer_in_time(
    page: Page, serving: FakeServing, jpeg: bytes
) -> None:
    page.clock.install()
    serving.answering.clear()
    choose(page, file(jpeg))
    expect(page.locator("#wait")).to_be_visible()
    page.clock.fast_forward(60_000)
    expect(page.get_by_role("alert")).to_contain_text("No answer came within 20 seconds.")
    serving.answering.set()


def test_an_overtaken_answer_is_kept(page: Page, serving: FakeServing, jpeg: bytes) -> None:
    serving.answering.clear()
    choose(page, file(jpeg, "first.jpg"))
    choose(page, file(jpeg, "second.jpg"))
    serving.answering.set()
    expect(page.locator("#grid li")).to_have_count(2)
    expect(page.locator("#source")).to_have_text("second.jpg")
    expect(page.locator("#grid li").first).to_contain_text("second.jpg")


def test_the_history_survives_a_reload(
    page: Page, new_page: NewPage, serving: FakeServing, jpeg: bytes
) -> None:
    for name in ("first.jpg", "second.jpg"):
        choose(page, file(jpeg, name))
        expect(page.locator("#source")).to_have_text(name)
        expect_label(page)
    expect(page.locator("#grid img")).to_have_count(2)
    page.wait_for_function(
        "() => JSON.parse(sessionStorage.getItem('answers'))?.every(({ small }) => small)"
    )
    asked = len(serving.requests)
    page.reload()
    expect(page.locator("#grid li")).to_have_count(2)
    page.locator("#grid").get_by_text("first.jpg").click()
    expect(page.locator("#source")).to_have_text("first.jpg")
    expect_label(page)
    expect(page.locator("#preview")).to_be_visible()
    expect(page.get_by_label("Show where the model looked")).to_be_visible()
    assert len(serving.requests) == asked
    expect(new_page().locator("#results")).to_be_hidden()  # another tab's
