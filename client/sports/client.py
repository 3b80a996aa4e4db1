"""A client of the service's HTTP API."""

import time
from pathlib import Path
from typing import Any

import requests

ATTEMPTS = 5
MAX_WAIT = 30.0  # seconds
BUSY_STATUSES = (429, 503)


class ServiceError(Exception):
    """The service answered with an error for this image; the text is the problem's detail."""


class ServiceUnavailable(Exception):
    """The service is unreachable, or stays busy."""


class Client:
    """Classifies images, and waits and tries again while the service is busy."""

    def __init__(self, host: str, key: str = "", timeout: float = 60.0) -> None:
        self._url = (host if "://" in host else f"http://{host}") + "/v1/predictions"
        self._timeout = timeout
        self._session = requests.Session()
        if key:
            self._session.headers["Authorization"] = f"Bearer {key}"

    def predict(self, source: str, explain: bool = False) -> dict[str, Any]:
        """Classify one image.

        Args:
            source: a URL, or a file's path.
            explain: ask for the heat map too.

        Returns:
            The prediction, as `POST /v1/predictions` returns it.

        Raises:
            ServiceError: the service cannot classify this image.
            ServiceUnavailable: it is unreachable, or stays busy.
            OSError: the file cannot be read.
        """
        params = {"explain": "true"} if explain else {}
        if is_url(source):
            body: dict[str, Any] = {"json": {"url": source}}
        else:
            headers = {"Content-Type": "image/*"}
            body = {"data": Path(source).read_bytes(), "headers": headers}
        response = self._post(params=params, **body)
        if not response.ok:
            raise ServiceError(_detail(response))
        prediction: dict[str, Any] = response.json()["predictions"][0]
        return {**prediction, "source": source}

    def _post(self, **arguments: Any) -> requests.Response:
        for attempt in range(ATTEMPTS):
            try:
                response = self._session.post(self._url, timeout=self._timeout, **arguments)
            except requests.RequestException as error:
                raise ServiceUnavailable(f"{self._url} does not answer: {error}") from error
            if response.status_code not in BUSY_STATUSES:
                return response
            time.sleep(min(MAX_WAIT, _retry_after(response, default=2.0**attempt)))
        raise ServiceUnavailable(_detail(response))


def is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _retry_after(response: requests.Response, default: float) -> float:
    """Seconds to wait; Retry-After may also be a date, which this service never sends."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else default


def _detail(response: requests.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The service answered {response.status_code}."
