"""The pictures a request brings: as a URL, as a form's file, or as the body itself."""

from dataclasses import dataclass

from flask import Request

from gateway.errors import ImageTooLarge, InvalidRequest

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
        InvalidRequest: there is none, or more than one.
        ImageTooLarge: an uploaded picture has more than `max_image_bytes`.
    """
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
    match request.get_json(silent=True, force=True):  # curl -d names a form's content type
        case {"url": str(url)}:
            return Picture(url)
        case {"url": _}:
            raise InvalidRequest("`url` is not a string.")
        case dict():
            raise InvalidRequest("The JSON holds no `url`.")
    raise InvalidRequest(USAGE)
