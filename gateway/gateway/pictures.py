"""The pictures a request brings: as a URL, as a form's file, or as the body itself."""

from dataclasses import dataclass

from flask import Request
from werkzeug.exceptions import HTTPException

from gateway.errors import GatewayError, ImageTooLarge, InvalidRequest

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


def read_picture(request: Request, max_image_bytes: int) -> Picture:
    """Find the one picture of a request.

    Raises:
        InvalidRequest: there is none, or more than one, or the body cannot be read.
        ImageTooLarge: an uploaded picture has more than `max_image_bytes`.
    """
    try:
        return _read(request, max_image_bytes)
    except (GatewayError, HTTPException):
        raise
    except Exception as error:  # each WSGI server has its own for a body that breaks off
        raise InvalidRequest("The body breaks off or cannot be read.") from error


def _read(request: Request, max_image_bytes: int) -> Picture:
    if request.mimetype == "multipart/form-data":
        files = request.files.getlist("image")
        if len(files) != 1:
            raise InvalidRequest(f"The form holds {len(files)} `image` files instead of one.")
        picture = Picture(files[0].filename or "image", files[0].read())
    elif request.mimetype.startswith("image/"):
        picture = Picture("body", request.get_data(cache=False))
    else:
        return _read_url(request)
    if len(picture.data or b"") > max_image_bytes:
        raise ImageTooLarge(f"The picture is larger than {max_image_bytes} bytes.")
    return picture


def _read_url(request: Request) -> Picture:
    request.max_content_length = min(MAX_JSON_BYTES, request.max_content_length or MAX_JSON_BYTES)
    match request.get_json(silent=True, force=True):  # curl -d names a form's content type
        case {"url": str(url)}:
            return Picture(url)
        case {"url": _}:
            raise InvalidRequest("`url` is not a string.")
        case dict():
            raise InvalidRequest("The JSON holds no `url`.")
    raise InvalidRequest(USAGE)
