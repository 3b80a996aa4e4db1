import gzip

import pytest
from flask.testing import FlaskClient

GZIP = {"Accept-Encoding": "br;q=1.0, gzip;q=0.8"}


@pytest.mark.parametrize("path", ["/", "/docs/swagger-ui-bundle.js", "/openapi.json", "/metrics"])
def test_texts_are_compressed_for_those_who_accept_it(client: FlaskClient, path: str) -> None:
    with client.get(path) as plain, client.get(path, headers=GZIP) as small:
        assert "Content-Encoding" not in plain.headers
        assert small.headers["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in small.headers["Vary"]
        if path != "/metrics":
            assert gzip.decompress(small.data) == plain.data
        assert len(small.data) == small.content_length < 0.6 * len(plain.data)


@pytest.mark.parametrize("accepted", ["", "identity", "gzip;q=0", "br"])
def test_texts_stay_as_they_are_for_others(client: FlaskClient, accepted: str) -> None:
    response = client.get("/openapi.json", headers={"Accept-Encoding": accepted})
    assert "Content-Encoding" not in response.headers
    assert "Accept-Encoding" in response.headers["Vary"]


def test_small_answers_stay_as_they_are(client: FlaskClient) -> None:
    assert client.get("/ping", headers=GZIP).data == b"pong"


def test_a_compressed_file_is_not_sent_again_when_it_is_known(client: FlaskClient) -> None:
    path = "/docs/swagger-ui.css"
    etag = client.get(path, headers=GZIP).headers["ETag"]
    assert etag.startswith("W/")
    again = client.get(path, headers={**GZIP, "If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")
