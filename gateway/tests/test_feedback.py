"""Feedback in one process: what is stored, and what is not."""

import hashlib
import io
import json
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from api.checks import check_problem
from flask.testing import FlaskClient
from gateway_testing.drawings import encode, gradient
from gateway_testing.fake_serving import SPORTS, FakeServing
from gateway_testing.image_server import ImageServer
from werkzeug.test import TestResponse

from gateway.app import create_app
from gateway.config import Settings
from gateway.feedback import FeedbackStore

NewClient = Callable[..., FlaskClient]
IMAGE = {"content_type": "image/jpeg"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "feedback"


@pytest.fixture
def client(new_client: NewClient, folder: Path) -> FlaskClient:
    return new_client(feedback_folder=str(folder))


def post(client: FlaskClient, data: bytes, label: str = "tennis") -> TestResponse:
    return client.post("/v1/feedback", query_string={"label": label}, data=data, **IMAGE)


def stored(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_an_image_is_stored_with_its_label(client: FlaskClient, folder: Path, jpeg: bytes) -> None:
    response = post(client, jpeg)
    digest = hashlib.sha256(jpeg).hexdigest()
    assert (response.status_code, response.json) == (202, {"image": digest})
    file = folder / "labels/tennis" / f"{digest}.jpg"
    assert file.read_bytes() == jpeg
    note = json.loads(file.with_suffix(".json").read_bytes())
    assert note.pop("date")
    assert note == {
        "label": "tennis",
        "predicted": "cricket",
        "probability": pytest.approx(0.88),
        "known": True,
        "in_domain": pytest.approx(0.9),
        "model": "sport-classification-model",
        "version": 1,
    }
    assert (folder.stat().st_mode, file.stat().st_mode) == (0o40700, 0o100600)


def test_an_image_of_none_of_the_labels(client: FlaskClient, folder: Path, jpeg: bytes) -> None:
    assert post(client, jpeg, "none").status_code == 202
    assert [name.split("/")[0] for name in stored(folder)] == [".lock", "none", "none"]


def test_an_image_of_a_form_and_of_a_url(
    client: FlaskClient, folder: Path, jpeg: bytes, image_server: ImageServer
) -> None:
    url = "/v1/feedback?label=karate"
    image_server.routes["/image.png"] = encode(gradient(), "PNG")
    form = {"image": (io.BytesIO(jpeg), "../../a.jpg")}
    assert client.post(url, data=form).status_code == 202
    assert client.post(url, json={"url": image_server.url("/image.png")}).status_code == 202
    suffixes = sorted(Path(name).suffix for name in stored(folder))
    assert suffixes == ["", ".jpg", ".json", ".json", ".png"]


def test_nothing_is_stored_when_feedback_is_off(new_client: NewClient, jpeg: bytes) -> None:
    check_problem(post(new_client(), jpeg), 404, "Not Found")


def test_the_same_image_is_stored_once_for_each_label(
    client: FlaskClient, folder: Path, jpeg: bytes
) -> None:
    for label in ("tennis", "tennis", "soccer", "tennis"):
        assert post(client, jpeg, label).status_code == 202
    digest = hashlib.sha256(jpeg).hexdigest()
    found = [name for name in stored(folder) if name.endswith(".jpg")]
    assert found == [f"labels/soccer/{digest}.jpg", f"labels/tennis/{digest}.jpg"]


HOSTILE = ["", ".", "..", "../../etc", "/etc/passwd", "a\0b", "Tennis", "tennis\n", "x" * 5000, "é"]


@pytest.mark.parametrize("label", HOSTILE)
def test_a_label_that_the_model_lacks_is_refused(
    client: FlaskClient, folder: Path, jpeg: bytes, label: str
) -> None:
    problem = check_problem(post(client, jpeg, label), 400, "Invalid request")
    assert ", ".join(SPORTS) in problem["detail"]
    assert stored(folder) == [".lock"]


def test_feedback_without_a_label_is_refused(client: FlaskClient, jpeg: bytes) -> None:
    check_problem(client.post("/v1/feedback", data=jpeg, **IMAGE), 400, "Invalid request")


@pytest.mark.parametrize("label", ["../up", "/etc", ".", "..", ".hidden", "a/b", "table tennis"])
def test_a_models_label_never_leads_out_of_the_folder(folder: Path, label: str) -> None:
    store = FeedbackStore(folder, 1_000_000)
    store.store(b"\xff\xd8", label, False, {}, float("inf"))
    [parent] = {file.parent for file in folder.rglob("*.jpg")}
    assert parent.parent == folder / "labels"
    assert not parent.name.startswith(".")
    store.close()


def test_what_is_not_an_image_is_not_stored(client: FlaskClient, folder: Path) -> None:
    check_problem(post(client, b"\xff\xd8 no image"), 415, "Unsupported image")
    assert stored(folder) == [".lock"]


def test_the_quota_is_kept(new_client: NewClient, folder: Path) -> None:
    client = new_client(feedback_folder=str(folder), feedback_max_bytes=20_000)
    images = [encode(gradient(width)) for width in range(100, 130)]
    statuses = [post(client, image).status_code for image in images]
    assert set(statuses) == {202, 507}
    assert sum(file.stat().st_size for file in (folder / "labels").rglob("*.*")) <= 20_000
    first = images[statuses.index(202)]
    assert post(client, first).status_code == 202  # it is there already
    refused = images[statuses.index(507)]
    assert check_problem(post(client, refused), 507, "Feedback not stored")["detail"].count("room")


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """Makes every file end at a size, with an error as a full disk's."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("size", [500, 50])
def test_a_full_disk_leaves_nothing_behind(
    folder: Path, jpeg: bytes, full_disk: Callable[[int], None], size: int
) -> None:
    store = FeedbackStore(folder, 1_000_000)
    answer: dict[str, Any] = {"predicted": "cricket" * 20}
    before = (folder / ".lock").read_bytes()
    full_disk(size)
    with pytest.raises(Exception, match="cannot be stored"):
        store.store(jpeg, "tennis", False, answer, float("inf"))
    assert stored(folder) == [".lock"]
    assert (folder / ".lock").read_bytes() == before
    full_disk(10_000_000)
    assert store.store(jpeg, "tennis", False, answer, float("inf"))
    store.close()


def test_a_folder_that_cannot_be_used_stops_the_start(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    changed = Settings(feedback_folder=str(tmp_path / "file" / "below"))
    with pytest.raises(ValueError, match=r"^GATEWAY_FEEDBACK_FOLDER: "):
        create_app(changed)


def test_what_a_process_left_behind_is_removed_and_counted(folder: Path, jpeg: bytes) -> None:
    store = FeedbackStore(folder, 1_000_000)
    store.store(jpeg, "tennis", False, {}, float("inf"))
    count = (folder / ".lock").read_bytes()
    (folder / ".unfinished").write_bytes(b"half")
    (folder / ".lock").write_text("9" * 20)  # as when a process ends before it has written
    FeedbackStore(folder, 1_000_000).close()
    assert not (folder / ".unfinished").exists()
    assert (folder / ".lock").read_bytes() == count
    store.close()


def test_the_model_is_described(client: FlaskClient, new_client: NewClient) -> None:
    expected = {
        "name": "sport-classification-model",
        "version": "1",
        "labels": list(SPORTS),
        "input": {"height": 299, "width": 299},
        "explain": True,
        "feedback": True,
    }
    assert client.get("/v1/model").json == expected
    assert new_client().get("/v1/model").json == {**expected, "feedback": False}


def test_a_model_is_asked_once_for_its_labels(client: FlaskClient, serving: FakeServing) -> None:
    for _ in range(3):
        assert client.get("/v1/model").status_code == 200
    assert len(serving.requests) == 1
    serving.version = 2
    post(client, encode(gradient()))
    answer = client.get("/v1/model").json
    assert answer is not None
    assert answer["version"] == "2"
