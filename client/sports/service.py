"""The service, as a client sees it."""

import time
from pathlib import Path
from typing import Any

import requests

RETRIES = 5
MAX_WAIT = 30.0  # seconds
BUSY = (429, 503)


class ServiceError(Exception):
    """What the service says about a picture that it cannot answer for."""


class ServiceAway(Exception):
    """The service cannot be reached, or stays busy."""


class Service:
    """Asks one service about pictures, and waits when it is busy."""

    def __init__(self, host: str, key: str = "", timeout: float = 60.0) -> None:
        self._url = (host if "://" in host else f"http://{host}") + "/v1/predictions"
        self._timeout = timeout
        self._session = requests.Session()
        if key:
            self._session.headers["Authorization"] = f"Bearer {key}"

    def predict(self, source: str, explain: bool = False) -> dict[str, Any]:
        """Ask about a picture.

        Args:
            source: a URL, or a file's path.
            explain: ask for the heat map too.

        Returns:
            The prediction, as `POST /v1/predictions` answers it.

        Raises:
            ServiceError: the service refuses this picture.
            ServiceAway: it cannot be reached, or is busy for too long.
            OSError: the file cannot be read.
        """
        params = {"explain": "true"} if explain else {}
        if is_url(source):
            sent: dict[str, Any] = {"json": {"url": source}}
        else:
            headers = {"Content-Type": "image/*"}
            sent = {"data": Path(source).read_bytes(), "headers": headers}
        answer = self._post(params=params, **sent)
        if not answer.ok:
            raise ServiceError(_detail(answer))
        prediction: dict[str, Any] = answer.json()["predictions"][0]
        return {**prediction, "source": source}

    def _post(self, **sent: Any) -> requests.Response:
        for attempt in range(RETRIES):
            try:
                answer = self._session.post(self._url, timeout=self._timeout, **sent)
            except requests.RequestException as error:
                raise ServiceAway(f"{self._url} does not answer: {error}") from error
            if answer.status_code not in BUSY:
                return answer
            time.sleep(min(MAX_WAIT, _seconds(answer, default=2.0**attempt)))
        raise ServiceAway(_detail(answer))


def is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _seconds(answer: requests.Response, default: float) -> float:
    """What Retry-After says; it may also be a date, which this service never sends."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else default


def _detail(answer: requests.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The service answered {answer.status_code}."
