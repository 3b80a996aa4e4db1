"""The page about each problem, which its `type` leads to."""

import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from gateway.answers import TITLES
from gateway.errors import GatewayError, slug
from gateway.problem_pages import problems

ERRORS = Path(__file__).parents[2] / "docs/errors.md"


@pytest.mark.parametrize("error", [GatewayError, *GatewayError.__subclasses__()])
def test_every_error_has_its_page(error: type[GatewayError]) -> None:
    problem = problems()[slug(error.title)]
    assert (problem["title"], problem["status"]) == (error.title, error.status)


@pytest.mark.parametrize(("status", "title"), TITLES.items())
def test_what_the_worker_answers_has_its_page(status: int, title: str) -> None:
    problem = problems()[slug(title)]
    assert (problem["title"], problem["status"]) == (title, status)


def test_the_type_of_a_problem_leads_to_its_page(client: FlaskClient) -> None:
    problem: Any = client.post("/predict", json={}).json
    page = client.get(problem["type"])
    assert page.status_code == 200
    assert page.mimetype == "text/html"
    assert "<h1>Invalid request</h1>" in page.text
    assert "<code>/docs</code> shows what to send." in page.text


@pytest.mark.parametrize("name", ["nothing", "<script>", "..", "__class__"])
def test_there_are_no_other_pages(client: FlaskClient, name: str) -> None:
    response = client.get(f"/problems/{name}")
    assert response.status_code == 404
    assert "<script>" not in response.text


@pytest.mark.parametrize("problem", problems().values(), ids=problems())
def test_the_documented_table_says_the_same(problem: dict[str, Any]) -> None:
    row = f"| {problem['status']} | {problem['title']} | {problem['when']} | {problem['do']} |"
    assert row in ERRORS.read_text()


def test_texts_are_short_sentences() -> None:
    for problem in problems().values():
        assert re.search(r"[.]$", problem["do"])
        assert not problem["when"].endswith(".")
