"""Our few messages against the official tensorflow-serving-api, byte for byte, both ways."""

import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from operator import attrgetter
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from gateway_testing.fake_serving import keras_signatures, sports_signatures
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import Int64Value

from tf_serving import GET_MODEL_METADATA, GET_MODEL_STATUS, PREDICT
from tf_serving import api_pb2 as ours

pytestmark = pytest.mark.skipif(
    find_spec("tensorflow_serving") is None, reason="needs the official tensorflow-serving-api"
)

SPEC = ours.ModelSpec(name="m", version=Int64Value(value=2**40), signature_name="explain")
IMAGES = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
FLOATS = IMAGES / np.float32(3)
LABEL_SPEC = ours.ModelSpec(name="m", version_label="stable")
VALUES = ours.TensorProto(
    double_val=[0.1],
    int_val=[-1, 255],
    int64_val=[-(2**40)],
    bool_val=[True],
    half_val=[0x3C00],
)
# Where each of our messages is defined officially.
MODULES = {
    "TensorShapeProto": "tensorflow.core.framework.tensor_shape_pb2",
    "TensorProto": "tensorflow.core.framework.tensor_pb2",
    "ModelSpec": "tensorflow_serving.apis.model_pb2",
    "PredictRequest": "tensorflow_serving.apis.predict_pb2",
    "PredictResponse": "tensorflow_serving.apis.predict_pb2",
    "TensorInfo": "tensorflow.core.protobuf.meta_graph_pb2",
    "SignatureDef": "tensorflow.core.protobuf.meta_graph_pb2",
    "SignatureDefMap": "tensorflow_serving.apis.get_model_metadata_pb2",
    "GetModelMetadataRequest": "tensorflow_serving.apis.get_model_metadata_pb2",
    "GetModelMetadataResponse": "tensorflow_serving.apis.get_model_metadata_pb2",
    "GetModelStatusRequest": "tensorflow_serving.apis.get_model_status_pb2",
    "StatusProto": "tensorflow_serving.apis.status_pb2",
    "ModelVersionStatus": "tensorflow_serving.apis.get_model_status_pb2",
    "GetModelStatusResponse": "tensorflow_serving.apis.get_model_status_pb2",
    "MetaGraphDef": "tensorflow.core.protobuf.meta_graph_pb2",
    "PredictLog": "tensorflow_serving.apis.prediction_log_pb2",
    "PredictionLog": "tensorflow_serving.apis.prediction_log_pb2",
}


@pytest.fixture(scope="module", autouse=True)
def _messages_alone() -> Iterator[None]:
    """Replaces TensorFlow, which takes long to load, by its package without __init__.py."""
    spec, package = find_spec("tensorflow"), ModuleType("tensorflow")
    assert spec
    package.__path__ = spec.submodule_search_locations or []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "tensorflow", package)
        yield


def official(name: str) -> Any:
    """The official message of this name."""
    return getattr(import_module(MODULES[name]), name)


def our_tensor(values: np.ndarray) -> ours.TensorProto:
    return ours.TensorProto(
        dtype=ours.DT_UINT8 if values.dtype == np.uint8 else ours.DT_FLOAT,
        tensor_shape=ours.TensorShapeProto(
            dim=[ours.TensorShapeProto.Dim(size=size) for size in values.shape]
        ),
        tensor_content=values.tobytes(),
    )


def metadata(signatures: dict[str, ours.SignatureDef]) -> ours.GetModelMetadataResponse:
    packed = any_pb2.Any(
        type_url="type.googleapis.com/tensorflow.serving.SignatureDefMap",
        value=ours.SignatureDefMap(signature_def=signatures).SerializeToString(deterministic=True),
    )
    return ours.GetModelMetadataResponse(model_spec=SPEC, metadata={"signature_def": packed})


STATES = ours.ModelVersionStatus.State.keys()
STATUS = ours.StatusProto(error_code=ours.UNIMPLEMENTED, error_message="no such operation")
MESSAGES: list[Message] = [
    ours.PredictRequest(model_spec=SPEC, inputs={"images": our_tensor(IMAGES)}),
    ours.PredictRequest(model_spec=SPEC, inputs={"x": our_tensor(FLOATS)}),
    ours.PredictRequest(model_spec=LABEL_SPEC, output_filter=["labels", "in_domain"]),
    VALUES,
    ours.PredictResponse(
        model_spec=SPEC,
        outputs={
            "probabilities": ours.TensorProto(dtype=ours.DT_FLOAT, float_val=[0.25, 0.75]),
            "labels": ours.TensorProto(dtype=ours.DT_STRING, string_val=[b"a", b"\xff"]),
        },
    ),
    ours.GetModelMetadataRequest(model_spec=SPEC, metadata_field=["signature_def"]),
    metadata(sports_signatures()),
    metadata(keras_signatures()),
    ours.GetModelStatusRequest(model_spec=SPEC),
    ours.GetModelStatusResponse(
        model_version_status=[
            ours.ModelVersionStatus(version=number, state=state, status=STATUS)
            for number, state in enumerate(STATES)
        ]
    ),
    ours.MetaGraphDef(
        meta_info_def=ours.MetaGraphDef.MetaInfoDef(tags=["serve"]),
        signature_def=sports_signatures(),
    ),
    ours.PredictionLog(predict_log=ours.PredictLog(request=ours.PredictRequest(model_spec=SPEC))),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_the_bytes_are_the_same_both_ways(message: Message) -> None:
    sent = message.SerializeToString(deterministic=True)
    theirs = official(type(message).__name__).FromString(sent)
    assert theirs.SerializeToString(deterministic=True) == sent
    assert type(message).FromString(theirs.SerializeToString()) == message


@pytest.mark.parametrize("name", ours.DESCRIPTOR.message_types_by_name)
def test_each_field_is_the_official_one(name: str) -> None:
    fields = official(name).DESCRIPTOR.fields_by_number
    for field in ours.DESCRIPTOR.message_types_by_name[name].fields:
        theirs = fields[field.number]
        assert (field.name, field.type) == (theirs.name, theirs.type)
        assert field.is_repeated == theirs.is_repeated


@pytest.mark.parametrize(
    ("enum", "module", "name"),
    [
        (ours.DataType, "tensorflow.core.framework.types_pb2", "DataType"),
        (ours.Code, "tensorflow.core.protobuf.error_codes_pb2", "Code"),
        (ours.ModelVersionStatus.State, MODULES["ModelVersionStatus"], "ModelVersionStatus.State"),
    ],
)
def test_each_value_of_an_enum_has_the_official_number(enum: Any, module: str, name: str) -> None:
    theirs = attrgetter(name)(import_module(module))
    assert set(enum.items()) <= set(theirs.items())


@pytest.mark.parametrize(
    ("method", "module"),
    [
        (PREDICT, "prediction_service_pb2"),
        (GET_MODEL_METADATA, "prediction_service_pb2"),
        (GET_MODEL_STATUS, "model_service_pb2"),
    ],
)
def test_each_method_exists_officially(method: str, module: str) -> None:
    _, service_name, method_name = method.split("/")
    package, _, short = service_name.rpartition(".")
    descriptor = import_module(f"tensorflow_serving.apis.{module}").DESCRIPTOR
    assert descriptor.package == package
    assert method_name in descriptor.services_by_name[short].methods_by_name
