"""axe finds nothing in any state of the page."""

from typing import Any

import numpy as np
from gateway_testing.fake_serving import FakeServing, sports_outputs
from playwright.sync_api import Route, expect

from page.checks import (
    DEVICES,
    PREDICTIONS,
    check_accessible,
    choose,
    expect_label,
    file,
    refuse,
)
from page.conftest import NewPage

HEAT = "Show where the model looked"


@DEVICES
def test_before_a_question_and_with_answers(
    new_page: NewPage, serving: FakeServing, jpeg: bytes, device: dict[str, Any]
) -> None:
    page = new_page(**device)
    expect(page.locator("#lanes b").first).to_have_text("badminton")
    check_accessible(page)
    choose(page, file(jpeg))
    expect_label(page)
    page.get_by_text("Ask from a program").click()
    page.get_by_text("Wrong?").click()
    page.get_by_label(HEAT).check()
    check_accessible(page)
    serving.outputs = {**sports_outputs(2), "in_domain": np.full(2, 0.1, np.float32)}
    choose(page, file(jpeg), file(jpeg), file(b"no image"))
    expect_label(page, "Probably none of the seven")
    expect(page.locator("#grid li")).to_have_count(4)
    check_accessible(page)


@DEVICES
def test_with_problems(new_page: NewPage, jpeg: bytes, device: dict[str, Any]) -> None:
    page = new_page(**device)
    choose(page, file(b"no image"))
    expect(page.get_by_role("alert")).to_contain_text("not a readable JPEG")
    check_accessible(page)
    page.context.set_offline(True)
    choose(page, file(jpeg))
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    page.context.set_offline(False)
    check_accessible(page)
    page.route(PREDICTIONS, refuse)
    choose(page, file(jpeg))
    expect(page.locator("#key")).to_be_focused()
    check_accessible(page)


@DEVICES
def test_while_the_page_asks(new_page: NewPage, jpeg: bytes, device: dict[str, Any]) -> None:
    page = new_page(**device)
    page.evaluate("document.body.dataset.seconds = 600")  # however long axe takes
    held: list[Route] = []
    page.route(PREDICTIONS, lambda route: held.append(route))

    def wait_accessibly() -> None:
        choose(page, file(jpeg))
        expect(page.locator("#wait")).to_be_visible()
        check_accessible(page)

    wait_accessibly()
    held.pop().continue_()
    expect_label(page)
    page.get_by_label(HEAT).check()
    expect(page.locator("#heat")).to_be_visible()
    wait_accessibly()  # over an old answer
    expect(page.locator("#heat")).to_be_hidden()
    held.pop().abort()
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer.")
    wait_accessibly()  # over an old problem
    held.pop().continue_()
    expect_label(page)
