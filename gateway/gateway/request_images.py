"""The images of a request: as URLs, as a form's files, or as the body itself."""

from dataclasses import dataclass

from flask import Request
from werkzeug.exceptions import HTTPException

from gateway.errors import GatewayError, ImageTooLarge, InvalidRequest

MAX_IMAGES = 16
MAX_JSON_BYTES = 65_536  # room for 16 URLs; parsed JSON takes many times its size
USAGE = (
    'Send JSON like {"url": "https://..."}, a form with an `image` file, or the image itself'
    " as an image/* body."
)


@dataclass(frozen=True)
class ImageInput:
    """One image to classify: its bytes, or the URL to fetch them from."""

    source: str
    data: bytes | None = None


@dataclass(frozen=True)
class RequestImages:
    """The images of one request; each image of a batch is answered for itself."""

    images: list[ImageInput]
    is_batch: bool


def read_images(request: Request, max_image_bytes: int) -> RequestImages:
    """Find the images of a request, at most 16.

    Raises:
        InvalidRequest: there is none, there are too many, or the body cannot be read.
        ImageTooLarge: an uploaded image has more than `max_image_bytes`.
    """
    try:
        found = _parse_body(request)
    except (GatewayError, HTTPException):
        raise
    except Exception as error:  # each WSGI server has its own for a body that breaks off
        raise InvalidRequest("The body breaks off or cannot be read.") from error
    if not 1 <= len(found.images) <= MAX_IMAGES:
        raise InvalidRequest(f"Send 1 to {MAX_IMAGES} images, not {len(found.images)}.")
    if any(len(image.data or b"") > max_image_bytes for image in found.images):
        raise ImageTooLarge(f"The image is larger than {max_image_bytes} bytes.")
    return found


def _parse_body(request: Request) -> RequestImages:
    if request.mimetype == "multipart/form-data":
        files = request.files.getlist("image")
        images = [ImageInput(file.filename or "image", file.read()) for file in files]
        return RequestImages(images, len(images) > 1)
    if request.mimetype.startswith("image/"):
        return RequestImages([ImageInput("body", request.get_data(cache=False))], False)
    request.max_content_length = min(MAX_JSON_BYTES, request.max_content_length or MAX_JSON_BYTES)
    match request.get_json(silent=True, force=True):  # curl -d names a form's content type
        case {"url": _, "urls": _}:
            raise InvalidRequest("Send either `url` or `urls`.")
        case {"url": str(url)}:
            return RequestImages([ImageInput(url)], False)
        case {"url": _}:
            raise InvalidRequest("`url` is not a string.")
        case {"urls": [*urls]} if all(isinstance(url, str) for url in urls):
            return RequestImages([ImageInput(url) for url in urls], True)
        case {"urls": _}:
            raise InvalidRequest("`urls` is not a list of strings.")
        case dict():
            raise InvalidRequest("The JSON holds no `url`.")
    raise InvalidRequest(USAGE)
