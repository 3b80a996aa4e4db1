"""The images of a request: as URLs, as a form's files, or as the body itself."""

from dataclasses import dataclass

from flask import Request
from werkzeug.exceptions import HTTPException

from gateway.errors import GatewayError, ImageTooLarge, InvalidRequest, RequestTooLarge

MAX_IMAGES = 16
MAX_JSON_BYTES = 65_536  # room for 16 URLs; parsed JSON takes many times its size
USAGE = (
    'Send JSON like {"url": "https://..."}, a form with a file `image` (`curl -F image=@FILE`), or'
    " the image itself with its type (`curl -H 'Content-Type: image/jpeg' --data-binary @FILE`)."
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
        if not files:
            raise InvalidRequest(_no_image_field(request))
        images = [ImageInput(file.filename or "image", file.read()) for file in files]
        return RequestImages(images, len(images) > 1)
    if request.mimetype.startswith("image/"):
        return RequestImages([ImageInput("body", request.get_data(cache=False))], False)
    if not request.is_json:  # curl -d names a form's content type
        _check_looks_like_json(request.get_data())
    request.max_content_length = min(MAX_JSON_BYTES, request.max_content_length or MAX_JSON_BYTES)
    match request.get_json(silent=True, force=True):
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


def _check_looks_like_json(body: bytes) -> None:
    if not body.lstrip().startswith(b"{"):
        raise InvalidRequest(USAGE)
    if len(body) > MAX_JSON_BYTES:
        raise RequestTooLarge(f"JSON has at most {MAX_JSON_BYTES} bytes.")


def _no_image_field(request: Request) -> str:
    problem = "has no file `image`"
    if request.files:
        problem = f"calls its file `{next(iter(request.files))[:40]}` instead of `image`"
    elif "image" in request.form:
        problem = "has a text `image` instead of a file"
    return f"The form {problem}; send one as `curl -F image=@FILE` does."
