"""Several images in one request."""

import io
import threading
from http.server import BaseHTTPRequestHandler

from flask.testing import FlaskClient
from gateway_testing.fake_serving import FakeServing
from gateway_testing.image_server import ImageServer, answer

from api.checks import body, check_problem


def test_each_url_is_answered_for_itself(
    client: FlaskClient, image_server: ImageServer, serving: FakeServing
) -> None:
    image_server.routes["/no.jpg"] = b"no image"
    names = ["image.jpg", "missing.jpg", "image.jpg", "no.jpg"]
    urls = [image_server.url(f"/{name}") for name in names] + ["ftp://example.com/"]
    answer = body(
        client.post("/v1/predictions", json={"urls": urls}, headers={"X-Request-ID": "a"})
    )
    assert answer["model"] == {"name": "sport-classification-model", "version": "1"}
    predictions = answer["predictions"]
    assert [prediction["source"] for prediction in predictions] == urls
    labels = [prediction.get("label") for prediction in predictions]
    assert labels == ["cricket", None, "cricket", None, None]
    errors = [prediction["error"] for prediction in predictions if "error" in prediction]
    titles = [error["title"] for error in errors]
    assert titles == ["Source refused", "Unsupported image", "Source refused"]
    assert all(error["request_id"] == "a" for error in errors)
    [request] = serving.requests
    assert request.inputs["images"].tensor_shape.dim[0].size == 2


def test_each_file_is_answered_for_itself(client: FlaskClient, jpeg: bytes) -> None:
    files = [(io.BytesIO(jpeg), "a.jpg"), (io.BytesIO(b"no image"), "b.jpg")]
    predictions = body(client.post("/v1/predictions", data={"image": files}))["predictions"]
    assert [prediction["source"] for prediction in predictions] == ["a.jpg", "b.jpg"]
    assert predictions[0]["label"] == "cricket"
    assert predictions[1]["error"]["title"] == "Unsupported image"


def test_the_model_is_not_asked_when_no_image_can_be_read(
    client: FlaskClient, serving: FakeServing
) -> None:
    answer = body(client.post("/v1/predictions", json={"urls": ["ftp://a/", "http://a:1/"]}))
    assert answer["model"]["version"] is None
    assert not serving.requests


def test_a_list_of_one_url_is_a_batch(client: FlaskClient) -> None:
    answer = body(client.post("/v1/predictions", json={"urls": ["ftp://example.com/"]}))
    assert answer["predictions"][0]["error"]["status"] == 422


def test_a_batch_holds_one_to_sixteen_images(client: FlaskClient) -> None:
    for urls in ([], ["http://example.com/"] * 17):
        response = client.post("/v1/predictions", json={"urls": urls})
        check_problem(response, 400, "Invalid request")


def test_images_of_a_batch_are_fetched_in_parallel(
    client: FlaskClient, image_server: ImageServer, jpeg: bytes
) -> None:
    together = threading.Barrier(4)

    def meet(handler: BaseHTTPRequestHandler) -> None:
        together.wait(60)  # for the other three
        answer(handler, jpeg)

    image_server.routes["/meet"] = meet
    urls = [image_server.url("/meet")] * 4
    predictions = body(client.post("/v1/predictions", json={"urls": urls}))["predictions"]
    assert [prediction["label"] for prediction in predictions] == ["cricket"] * 4
