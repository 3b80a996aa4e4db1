"""A model behind a server of the Open Inference Protocol."""

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from gateway_testing.fake_open_inference import FakeOpenInference
from gateway_testing.fake_serving import SPORTS, sports_outputs

from gateway.config import PROTOCOLS, Settings
from gateway.errors import ModelFailed, ModelUnavailable
from gateway.model_client import PROTOCOLS as CLIENTS
from gateway.model_client import ModelClient
from gateway.signatures import Prediction

IMAGES = np.arange(2 * 299 * 299 * 3, dtype=np.uint32).astype(np.uint8).reshape(2, 299, 299, 3)


@pytest.fixture
def server() -> Iterator[FakeOpenInference]:
    server = FakeOpenInference()
    yield server
    server.stop()


@pytest.fixture
def model(settings: Settings, server: FakeOpenInference) -> Iterator[ModelClient]:
    model = ModelClient(
        replace(settings, model_protocol="open-inference", tf_serving_host=server.host)
    )
    yield model
    model.close()


def predict(model: ModelClient, explain: bool = False) -> list[Prediction]:
    deadline = time.monotonic() + 20
    return model.predict(list(IMAGES), model.signature(deadline), deadline, explain=explain)


def test_each_protocol_of_the_settings_has_a_client() -> None:
    assert set(CLIENTS) == set(PROTOCOLS)


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
def test_a_batch_of_two_is_classified(
    model: ModelClient, server: FakeOpenInference, raw: bool
) -> None:
    server.raw = raw
    first, second = predict(model)
    assert first == second
    assert first.label == "cricket"
    assert list(first.probabilities) == list(SPORTS)
    assert first.in_domain == pytest.approx(0.9)
    assert first.version == 1
    assert first.heatmap is None
    [request] = server.requests
    assert request.model_name == "sport-classification-model"
    assert [output.name for output in request.outputs] == ["probabilities", "labels", "in_domain"]
    [tensor] = request.inputs
    assert (tensor.name, tensor.datatype) == ("images", "UINT8")
    assert list(tensor.shape) == [2, 299, 299, 3]
    assert list(request.raw_input_contents) == [IMAGES.tobytes()]


def test_a_heat_map_is_asked_for(model: ModelClient) -> None:
    assert np.shape(predict(model, explain=True)[0].heatmap or []) == (8, 8)


def test_a_model_without_heat_maps_cannot_explain(
    model: ModelClient, server: FakeOpenInference
) -> None:
    server.outputs = {name: spec for name, spec in server.outputs.items() if name != "heatmaps"}
    assert not model.signature(time.monotonic() + 20).explains


def test_the_labels_of_the_settings_are_used(settings: Settings, server: FakeOpenInference) -> None:
    server.inputs = {"x": ("FP32", [-1, 299, 299, 3])}
    server.outputs = {"y": ("FP32", [-1, 3])}
    server.arrays = {"y": np.tile(np.array([0.1, 0.7, 0.2], np.float32), (2, 1))}
    changed = replace(settings, labels=("a", "b", "c"), tf_serving_host=server.host)
    model = ModelClient(replace(changed, model_protocol="open-inference"))
    try:
        assert predict(model)[0].label == "b"
    finally:
        model.close()
    sent = np.frombuffer(server.requests[0].raw_input_contents[0], "<f4")
    np.testing.assert_allclose(sent, IMAGES.ravel() / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize(("versions", "version"), [(["1", "3"], 3), (["v2"], 0), ([], 0)])
def test_the_version_is_a_number_or_unknown(
    model: ModelClient, server: FakeOpenInference, versions: list[str], version: int
) -> None:
    server.versions = versions
    assert model.signature(time.monotonic() + 20).version == version


def test_a_version_that_only_the_answer_names_costs_no_second_reading(
    model: ModelClient, server: FakeOpenInference
) -> None:
    server.versions = []  # as MLServer
    predict(model)
    assert model.known_signature


def test_a_number_for_each_image_may_be_a_column(
    model: ModelClient, server: FakeOpenInference
) -> None:
    server.arrays = {**sports_outputs(2), "in_domain": np.full((2, 1), 0.8, np.float32)}
    assert predict(model)[0].in_domain == pytest.approx(0.8)


def test_a_model_that_is_not_ready_is_unavailable(
    model: ModelClient, server: FakeOpenInference
) -> None:
    model.check_available(time.monotonic() + 20)
    server.ready = False
    with pytest.raises(ModelUnavailable):
        model.check_available(time.monotonic() + 20)


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
@pytest.mark.parametrize(
    "changes",
    [
        {"probabilities": None},
        {"labels": None},
        {"probabilities": np.full((2, 7), np.nan, np.float32)},
        {"in_domain": np.array(["a", "b"])},
    ],
    ids=["no scores", "no labels", "no numbers", "another type"],
)
def test_an_unusable_answer_is_a_failure_of_the_model(
    model: ModelClient,
    server: FakeOpenInference,
    changes: dict[str, np.ndarray | None],
    raw: bool,
) -> None:
    arrays = {
        "probabilities": np.full((2, 7), 1 / 7, np.float32),
        "labels": np.tile(np.array(SPORTS), (2, 1)),
        "in_domain": np.ones(2, np.float32),
    }
    server.raw = raw
    server.arrays = {
        name: values for name, values in (arrays | changes).items() if values is not None
    }
    with pytest.raises(ModelFailed):
        predict(model)
