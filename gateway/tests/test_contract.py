"""Our few messages against the official tensorflow-serving-api, byte for byte, both ways."""

import numpy as np
import pytest
from gateway_testing.fake_serving import keras_signatures, sports_signatures
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import Int64Value

from gateway import serving
from gateway import tf_serving_pb2 as ours

pytest.importorskip("tensorflow_serving", reason="needs the official tensorflow-serving-api")
import tensorflow as tf
from tensorflow.core.framework import (
    tensor_pb2,
    tensor_shape_pb2,
    types_pb2,
)
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2,
    predict_pb2,
    prediction_service_pb2,
)

SPEC = ours.ModelSpec(name="m", version=Int64Value(value=2**40), signature_name="explain")
PIXELS = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)


def our_tensor(values: np.ndarray) -> ours.TensorProto:
    return ours.TensorProto(
        dtype=ours.DT_UINT8 if values.dtype == np.uint8 else ours.DT_FLOAT,
        tensor_shape=ours.TensorShapeProto(
            dim=[ours.TensorShapeProto.Dim(size=size) for size in values.shape]
        ),
        tensor_content=values.tobytes(),
    )


def metadata(signatures: dict[str, ours.SignatureDef]) -> ours.GetModelMetadataResponse:
    packed = Any(
        type_url="type.googleapis.com/tensorflow.serving.SignatureDefMap",
        value=ours.SignatureDefMap(signature_def=signatures).SerializeToString(deterministic=True),
    )
    return ours.GetModelMetadataResponse(model_spec=SPEC, metadata={"signature_def": packed})


STATES = ours.ModelVersionStatus.State.values()
PAIRS = [
    (
        ours.PredictRequest(model_spec=SPEC, inputs={"images": our_tensor(PIXELS)}),
        predict_pb2.PredictRequest,
    ),
    (
        ours.PredictRequest(model_spec=SPEC, inputs={"x": our_tensor(PIXELS / np.float32(3))}),
        predict_pb2.PredictRequest,
    ),
    (
        ours.PredictResponse(
            model_spec=SPEC,
            outputs={
                "probabilities": ours.TensorProto(dtype=ours.DT_FLOAT, float_val=[0.25, 0.75]),
                "labels": ours.TensorProto(dtype=ours.DT_STRING, string_val=[b"a", b"\xff"]),
            },
        ),
        predict_pb2.PredictResponse,
    ),
    (
        ours.GetModelMetadataRequest(model_spec=SPEC, metadata_field=["signature_def"]),
        get_model_metadata_pb2.GetModelMetadataRequest,
    ),
    (metadata(sports_signatures()), get_model_metadata_pb2.GetModelMetadataResponse),
    (metadata(keras_signatures()), get_model_metadata_pb2.GetModelMetadataResponse),
    (
        ours.GetModelStatusRequest(model_spec=SPEC),
        get_model_status_pb2.GetModelStatusRequest,
    ),
    (
        ours.GetModelStatusResponse(
            model_version_status=[
                ours.ModelVersionStatus(version=i, state=state) for i, state in enumerate(STATES)
            ]
        ),
        get_model_status_pb2.GetModelStatusResponse,
    ),
]


@pytest.mark.parametrize(("message", "official"), PAIRS)
def test_the_bytes_are_the_same_both_ways(message: Message, official: type[Message]) -> None:
    sent = message.SerializeToString(deterministic=True)
    theirs = official.FromString(sent)
    assert theirs.SerializeToString(deterministic=True) == sent
    assert type(message).FromString(theirs.SerializeToString()) == message


OFFICIAL = {
    "TensorShapeProto": tensor_shape_pb2.TensorShapeProto,
    "TensorProto": tensor_pb2.TensorProto,
    "ModelSpec": model_pb2.ModelSpec,
    "PredictRequest": predict_pb2.PredictRequest,
    "PredictResponse": predict_pb2.PredictResponse,
    "TensorInfo": meta_graph_pb2.TensorInfo,
    "SignatureDef": meta_graph_pb2.SignatureDef,
    "SignatureDefMap": get_model_metadata_pb2.SignatureDefMap,
    "GetModelMetadataRequest": get_model_metadata_pb2.GetModelMetadataRequest,
    "GetModelMetadataResponse": get_model_metadata_pb2.GetModelMetadataResponse,
    "GetModelStatusRequest": get_model_status_pb2.GetModelStatusRequest,
    "ModelVersionStatus": get_model_status_pb2.ModelVersionStatus,
    "GetModelStatusResponse": get_model_status_pb2.GetModelStatusResponse,
}


@pytest.mark.parametrize("name", ours.DESCRIPTOR.message_types_by_name)
def test_each_field_is_the_official_one(name: str) -> None:
    official = OFFICIAL[name].DESCRIPTOR.fields_by_number
    for field in ours.DESCRIPTOR.message_types_by_name[name].fields:
        theirs = official[field.number]
        assert (field.name, field.type) == (theirs.name, theirs.type)
        assert field.is_repeated == theirs.is_repeated


@pytest.mark.parametrize(
    ("our_enum", "official"),
    [
        (ours.DataType, types_pb2.DataType),
        (ours.ModelVersionStatus.State, get_model_status_pb2.ModelVersionStatus.State),
    ],
)
def test_each_value_of_an_enumeration_is_the_official_one(our_enum, official) -> None:
    assert set(our_enum.items()) <= set(official.items())


@pytest.mark.parametrize("values", [PIXELS, PIXELS / np.float32(3)])
def test_tensorflow_reads_our_tensors(values: np.ndarray) -> None:
    theirs = tensor_pb2.TensorProto.FromString(our_tensor(values).SerializeToString())
    np.testing.assert_array_equal(tf.make_ndarray(theirs), values)


@pytest.mark.parametrize(
    ("method", "service"),
    [
        (serving.PREDICT, prediction_service_pb2.DESCRIPTOR),
        (serving.GET_MODEL_METADATA, prediction_service_pb2.DESCRIPTOR),
        (serving.GET_MODEL_STATUS, model_service_pb2.DESCRIPTOR),
    ],
)
def test_the_method_paths_exist(method: str, service) -> None:
    _, service_name, method_name = method.split("/")
    package, _, short = service_name.rpartition(".")
    assert service.package == package
    assert method_name in service.services_by_name[short].methods_by_name
