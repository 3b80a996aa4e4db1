import gc
import time
import weakref

from gateway_testing.drawings import encode, gradient
from gateway_testing.image_server import ImageServer

from gateway import classifier
from gateway.classifier import Classifier, Outcome
from gateway.errors import InvalidRequest, forget_frames
from gateway.pictures import Picture


class Large:
    """Stands for a picture in a frame."""


def fail() -> tuple[InvalidRequest, "weakref.ref[Large]"]:
    large = Large()
    try:
        try:
            raise KeyError
        except KeyError as cause:
            raise InvalidRequest("No.") from cause
    except InvalidRequest as error:
        return error, weakref.ref(large)


def test_an_error_lets_go_of_its_frames() -> None:
    gc.disable()
    try:
        error, kept = fail()
        assert kept() is not None
        forget_frames(error)
        assert kept() is None
    finally:
        gc.enable()
    assert isinstance(error.__cause__, KeyError)


def test_a_picture_that_failed_is_freed_with_its_request(
    app, image_server: ImageServer, monkeypatch
) -> None:
    outcomes: weakref.WeakSet[Outcome] = weakref.WeakSet()

    class Watched(Outcome):
        def __init__(self, picture: Picture) -> None:
            super().__init__(picture)
            outcomes.add(self)

        __hash__ = object.__hash__

    monkeypatch.setattr(classifier, "Outcome", Watched)
    image_server.routes["/large"] = encode(gradient())[:2000]
    read: Classifier = app.extensions["gateway"].classifier
    gc.disable()
    try:
        deadline = time.monotonic() + 5
        [outcome] = read.classify([Picture(image_server.url("/large"))], deadline)
        assert outcome.error is not None
        del outcome
        assert not outcomes
    finally:
        gc.enable()
