from typing import Any

from werkzeug.test import TestResponse


def body(response: TestResponse) -> Any:
    """The JSON of a successful answer."""
    assert response.status_code == 200, response.text
    return response.json


def check_problem(response: TestResponse, status: int, title: str) -> dict[str, Any]:
    """Check that the answer is this problem, in the form of RFC 9457."""
    assert response.status_code == status
    assert response.mimetype == "application/problem+json"
    problem: dict[str, Any] | None = response.json
    assert problem is not None
    assert set(problem) == {"type", "title", "status", "detail", "request_id"}
    assert problem["status"] == status
    assert problem["title"] == title
    assert problem["type"] == "/problems/" + title.lower().replace(" ", "-")
    assert problem["detail"].endswith(".")
    assert problem["request_id"] == response.headers["X-Request-ID"]
    return problem
