"""The pictures a request brings: as URLs, as a form's files, or as the body itself."""

from dataclasses import dataclass

from flask import Request
from werkzeug.exceptions import HTTPException

from gateway.errors import GatewayError, ImageTooLarge, InvalidRequest

MAX_PICTURES = 16
MAX_JSON_BYTES = 65_536  # room for all the URLs a request may hold; parsed JSON takes far more
USAGE = (
    'Send JSON like {"url": "https://..."}, a form with an `image` file, or the picture itself'
    " as an image/* body."
)


@dataclass(frozen=True)
class Picture:
    """One picture to classify: its bytes, or the URL they are behind."""

    source: str
    data: bytes | None = None


@dataclass(frozen=True)
class Batch:
    """The pictures of one request; of several, each is answered for itself."""

    pictures: list[Picture]
    several: bool


def read_pictures(request: Request, max_image_bytes: int) -> Batch:
    """Find the pictures of a request, at most 16.

    Raises:
        InvalidRequest: there is none, there are too many, or the body cannot be read.
        ImageTooLarge: an uploaded picture has more than `max_image_bytes`.
    """
    try:
        batch = _read(request)
    except (GatewayError, HTTPException):
        raise
    except Exception as error:  # each WSGI server has its own for a body that breaks off
        raise InvalidRequest("The body breaks off or cannot be read.") from error
    if not 1 <= len(batch.pictures) <= MAX_PICTURES:
        raise InvalidRequest(f"Send 1 to {MAX_PICTURES} pictures, not {len(batch.pictures)}.")
    if any(len(picture.data or b"") > max_image_bytes for picture in batch.pictures):
        raise ImageTooLarge(f"The picture is larger than {max_image_bytes} bytes.")
    return batch


def _read(request: Request) -> Batch:
    if request.mimetype == "multipart/form-data":
        files = request.files.getlist("image")
        pictures = [Picture(file.filename or "image", file.read()) for file in files]
        return Batch(pictures, len(pictures) > 1)
    if request.mimetype.startswith("image/"):
        return Batch([Picture("body", request.get_data(cache=False))], False)
    return _read_urls(request)


def _read_urls(request: Request) -> Batch:
    request.max_content_length = min(MAX_JSON_BYTES, request.max_content_length or MAX_JSON_BYTES)
    match request.get_json(silent=True, force=True):  # curl -d names a form's content type
        case {"url": _, "urls": _}:
            raise InvalidRequest("Send either `url` or `urls`.")
        case {"url": str(url)}:
            return Batch([Picture(url)], False)
        case {"url": _}:
            raise InvalidRequest("`url` is not a string.")
        case {"urls": [*urls]} if all(isinstance(url, str) for url in urls):
            return Batch([Picture(url) for url in urls], True)
        case {"urls": _}:
            raise InvalidRequest("`urls` is not a list of strings.")
        case dict():
            raise InvalidRequest("The JSON holds no `url`.")
    raise InvalidRequest(USAGE)
