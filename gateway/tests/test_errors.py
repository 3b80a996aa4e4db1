"""Memory held by errors."""

import gc
import time
import weakref

import pytest
from flask import Flask
from gateway_testing.drawings import encode, gradient
from gateway_testing.image_server import ImageServer

from gateway import classifier
from gateway.classifier import Wanted
from gateway.errors import InvalidRequest, release_frames
from gateway.records import Outcome, RequestRecord
from gateway.request_images import ImageInput


class Large:
    """Stands for an image in a frame."""


def fail() -> tuple[InvalidRequest, "weakref.ref[Large]"]:
    large = Large()
    try:
        try:
            raise KeyError
        except KeyError as cause:
            raise InvalidRequest("No.") from cause
    except InvalidRequest as error:
        return error, weakref.ref(large)


def test_an_error_releases_its_frames() -> None:
    gc.disable()
    try:
        error, large = fail()
        assert large() is not None
        release_frames(error)
        assert large() is None
    finally:
        gc.enable()
    assert isinstance(error.__cause__, KeyError)


def test_an_image_that_failed_is_freed_with_its_request(
    app: Flask, image_server: ImageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: weakref.WeakSet[Outcome] = weakref.WeakSet()

    class Watched(Outcome):
        def __init__(self, image: ImageInput) -> None:
            super().__init__(image)
            outcomes.add(self)

        __hash__ = object.__hash__

    monkeypatch.setattr(classifier, "Outcome", Watched)
    image_server.routes["/large"] = encode(gradient())[:2000]
    classify = app.extensions["gateway"].classifier.classify
    record = RequestRecord("a", time.monotonic(), time.monotonic() + 20)
    gc.disable()
    try:
        [outcome] = classify([ImageInput(image_server.url("/large"))], record, Wanted())
        assert outcome.error is not None
        assert outcomes
        del outcome, record
        assert not outcomes
    finally:
        gc.enable()
