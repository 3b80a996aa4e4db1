"""Which inputs are taken, and how outputs are returned."""

import grpc
import numpy as np
import pytest
from serving_client import Client, pixels, rpc_error

from model_server.tensors import to_proto
from tf_serving import api_pb2 as tf

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def test_strings_are_chosen_by_the_graph(client: Client) -> None:
    images = pixels(0, 0, 0)
    for image, channel in enumerate((2, 0, 1)):
        images[image, :, :, channel] = 9
    brightest = client.predict(images=images)["brightest"]
    assert [text.decode() for text in brightest] == ["blue", "red", "grün"]


def test_a_tensor_that_is_two_outputs_has_both_names(client: Client) -> None:
    outputs = client.predict(images=pixels(3))
    assert outputs["same"] == outputs["mean"] == [3]


def test_numeric_outputs_are_in_value_fields_as_from_tensorflow_serving(client: Client) -> None:
    outputs = client.respond(images=pixels()).outputs
    assert outputs["mean"].float_val == [7]
    assert not outputs["mean"].tensor_content


TYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64")


def test_values_of_each_type_are_read_and_returned(client: Client) -> None:
    inputs = {name: np.array([1, 2, -3], name) for name in TYPES}
    outputs = client.predict("types", **inputs)
    assert {name: array.dtype for name, array in outputs.items()} == {
        f"{name}_out": np.dtype(name) for name in TYPES
    }
    assert [array.tolist() for array in outputs.values()] == [[2, 4, -6]] * len(TYPES)
    # AsProtoField in predict_util.cc: float16 has a field of its own, too.
    assert len(client.respond("types", **inputs).outputs["float16_out"].half_val) == 3


def test_inputs_in_tensor_content_are_read(client: Client) -> None:
    images = pixels(3, 5)
    proto = to_proto(images)
    proto.ClearField("int_val")
    proto.tensor_content = images.tobytes()
    assert client.predict(images=proto)["mean"].tolist() == [3, 5]


def test_last_value_is_repeated(client: Client) -> None:
    values = to_proto(pixels(1, 2))
    del values.int_val[:]
    values.int_val.append(9)
    assert client.predict(images=values)["mean"].tolist() == [9, 9]


def zeros(*sizes: int) -> np.ndarray:
    return np.zeros(sizes, np.uint8)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (pixels().astype(np.float32), "to be DT_UINT8 but DT_FLOAT is provided"),
        (np.array([b"a"], object), "to be DT_UINT8 but DT_STRING is provided"),
        (zeros(4, 4, 3), "expected (None, 4, 4, 3)"),
        (zeros(1, 4, 5, 3), "expected (None, 4, 4, 3)"),
        (zeros(1, 4, 4, 1), "expected (None, 4, 4, 3)"),
        (zeros(0, 4, 4, 3), "nothing to predict"),
    ],
)
def test_wrong_dtypes_and_shapes_are_refused(
    client: Client, images: np.ndarray, message: str
) -> None:
    status, details = rpc_error(lambda: client.predict(images=images))
    assert status == INVALID
    assert message in details


@pytest.mark.parametrize("content", [b"\0" * 47, b"\0" * 49])
def test_content_of_another_length_is_refused(client: Client, content: bytes) -> None:
    proto = to_proto(pixels())
    proto.tensor_content = content
    status, details = rpc_error(lambda: client.predict(images=proto))
    assert status == INVALID
    assert "does not parse" in details


@pytest.mark.parametrize("count", [-1, 2**40, 2**62])
def test_impossible_batch_size_is_refused(client: Client, count: int) -> None:
    proto = tf.TensorProto(dtype=tf.DT_UINT8, int_val=[9])
    for size in (count, 4, 4, 3):
        proto.tensor_shape.dim.add(size=size)
    assert rpc_error(lambda: client.predict(images=proto))[0] == INVALID


def test_unknown_rank_or_dtype_is_refused(client: Client) -> None:
    proto = to_proto(pixels())
    proto.tensor_shape.unknown_rank = True
    assert rpc_error(lambda: client.predict(images=proto))[0] == INVALID
    proto = to_proto(pixels())
    proto.dtype = 999
    assert rpc_error(lambda: client.predict(images=proto))[0] == INVALID


def test_no_value_at_all_is_refused(client: Client) -> None:
    proto = to_proto(pixels())
    del proto.int_val[:]
    status, details = rpc_error(lambda: client.predict(images=proto))
    assert status == INVALID
    assert "does not parse" in details


def test_inputs_of_different_numbers_of_rows_are_refused(client: Client) -> None:
    inputs = {name: np.ones(1, name) for name in TYPES}
    inputs["int32"] = np.ones(2, np.int32)
    assert rpc_error(lambda: client.predict("types", **inputs))[0] == INVALID
