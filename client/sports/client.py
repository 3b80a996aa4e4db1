"""A client of the service's HTTP API."""

from pathlib import Path
from typing import Any, NotRequired, TypedDict

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

BUSY, UNAUTHORIZED = (429, 503), 401  # statuses
MAX_WAIT = 30  # seconds that a busy service can make a client wait between two attempts
MAX_CONNECTIONS = 32
RETRIES = Retry(
    connect=0,
    read=2,
    status=4,
    status_forcelist=BUSY,
    allowed_methods=None,  # POST too: asking twice does no harm
    backoff_factor=1,
    retry_after_max=MAX_WAIT,
    raise_on_status=False,
)


class Prediction(TypedDict):
    """What the service says of an image."""

    source: str  # the URL or path
    label: str
    probability: float  # of the label, from 0 to 1
    known: bool | None  # False: probably none of the labels; None: the model cannot tell
    in_domain: float | None  # from 0 to 1; `known` is True from 0.5 on
    probabilities: dict[str, float]  # of all labels; they sum to 1
    timings_ms: dict[str, float]
    heatmap: NotRequired[list[list[float]]]  # rows of values from 0 to 1


class ServiceError(Exception):
    """The service cannot classify this image; the text is the problem's detail."""


class ServiceUnavailable(Exception):
    """The service is unreachable, stays busy, or does not accept the API key."""


class Client:
    """Classifies images, and waits and tries again while the service is busy.

    Several threads may use one client, for up to 32 requests at once.
    """

    def __init__(self, host: str = "localhost:9696", key: str = "", timeout: float = 60.0) -> None:
        """Connect to nothing yet.

        Args:
            host: HOST:PORT, or a URL for HTTPS.
            key: an API key, if the service requires one.
            timeout: seconds to wait for an answer.
        """
        self._url = (host if "://" in host else f"http://{host}").rstrip("/") + "/v1/predictions"
        self._timeout = timeout
        self._session = requests.Session()
        adapter = HTTPAdapter(pool_maxsize=MAX_CONNECTIONS, max_retries=RETRIES)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        if key:
            self._session.headers["Authorization"] = f"Bearer {key}"

    def predict(self, source: str | Path, explain: bool = False) -> Prediction:
        """Classify one image.

        Args:
            source: a URL, or a file's path.
            explain: ask for the heat map too.

        Raises:
            ServiceError: the service cannot classify this image.
            ServiceUnavailable: it is unreachable, stays busy, or does not accept the key.
            OSError: the file cannot be read.
        """
        params = {"explain": "true"} if explain else {}
        if is_url(str(source)):
            response = self._post(params=params, json={"url": source})
        else:
            headers = {"Content-Type": "image/*"}
            response = self._post(params=params, data=Path(source).read_bytes(), headers=headers)
        if not response.ok:
            raise ServiceError(_detail(response))
        try:
            prediction: Prediction = response.json()["predictions"][0]
        except (ValueError, KeyError, TypeError) as error:
            raise ServiceUnavailable(f"{self._url} is not this service.") from error
        return {**prediction, "source": str(source)}

    def _post(self, **arguments: Any) -> requests.Response:
        try:
            response = self._session.post(self._url, timeout=self._timeout, **arguments)
        except requests.RequestException as error:
            raise ServiceUnavailable(f"{self._url} does not answer: {_cause(error)}") from error
        if response.status_code in (*BUSY, UNAUTHORIZED):
            raise ServiceUnavailable(_detail(response))
        return response


def is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _cause(error: BaseException) -> BaseException:
    """What an error began with, such as a refused connection."""
    return _cause(error.__context__) if error.__context__ else error


def _detail(response: requests.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The service answered {response.status_code}."
