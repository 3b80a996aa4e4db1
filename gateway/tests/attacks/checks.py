from collections.abc import Callable

from werkzeug.test import TestResponse

from gateway.fetcher import UNREACHABLE

PUBLIC = "127.1.0.1"
OTHER = "127.1.0.2"
SECRET = b"the secret of the inside"
Attack = Callable[[str], TestResponse]


def status_and_title(response: TestResponse) -> tuple[int, str]:
    return response.status_code, problem(response)["title"]


def problem(response: TestResponse) -> dict[str, str]:
    found: dict[str, str] | None = response.json
    assert found is not None
    return found


def check_refused(response: TestResponse, detail: str = "") -> None:
    assert response.status_code in (400, 413, 415, 422), response.text
    assert detail in problem(response)["detail"]


def check_unreachable(response: TestResponse) -> None:
    assert status_and_title(response) == (422, "Source refused")
    assert problem(response)["detail"] == UNREACHABLE
