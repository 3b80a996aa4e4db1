"""Computes the model with one engine, in a process of its own.

    python bench/engine.py ENGINE VERSION_FOLDER

Prints a line of JSON when the model is loaded and has answered once. Then it reads lines
"BATCH SECONDS", computes for that time, and prints the images a second for each.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

SIZE = 299
PRODUCT = 2048  # rows and columns of the matrices whose product shows the processor's peak
Compute = Callable[[np.ndarray], object]


def session(folder: Path, precision: str) -> Compute:
    """As TensorFlow Serving computes it."""
    import tensorflow as tf
    from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

    config = tf.compat.v1.ConfigProto()
    if precision == "bfloat16":  # as --mixed_precision=bfloat16 does
        rewriting = config.graph_options.rewrite_options
        rewriting.auto_mixed_precision_onednn_bfloat16 = RewriterConfig.ON
    session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
    with session.graph.as_default() as graph:
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
        signature = meta_graph.signature_def["serving_default"]
        [images] = [graph.get_tensor_by_name(info.name) for info in signature.inputs.values()]
        outputs = [graph.get_tensor_by_name(info.name) for info in signature.outputs.values()]
    infer: Compute = session.make_callable(outputs, [images])
    if images.dtype == tf.float32:
        return lambda images: infer(images.astype(np.float32) / 127.5 - 1)
    return infer


def model_server(folder: Path, wanted: str) -> Compute:
    """As the embedded model server computes it."""
    from model_server import precision
    from model_server.networks import Compiler, Networks
    from model_server.saved_model import DEFAULT_SIGNATURE, read_signatures

    networks = Networks(folder, Compiler(precision.choose(wanted, folder)))
    infer = networks.compile(read_signatures(folder)[DEFAULT_SIGNATURE])
    return lambda images: infer({"images": images})


def onnxruntime(folder: Path) -> Compute:
    """The numeric outputs of the signature, converted by tf2onnx."""
    import onnx
    import onnxruntime
    import tensorflow as tf
    import tf2onnx

    infer = tf.saved_model.load(str(folder)).signatures["serving_default"]

    def numeric_outputs(images: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = infer(images=images)
        return {name: outputs[name] for name in ("probabilities", "in_domain")}

    signature = [tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8)]
    model, _ = tf2onnx.convert.from_function(
        tf.function(numeric_outputs, input_signature=signature),
        input_signature=signature,
        opset=18,
    )
    _round_scales_up(onnx, model.graph)
    run = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    ).run
    return lambda images: run(None, {"images": images})


def _round_scales_up(onnx: Any, graph: Any) -> None:
    """Without it a resize by 0.8561873 of 299 rows gives 255.99, and so 255, where 256 is meant."""
    scales = {node.input[2] for node in graph.node if node.op_type == "Resize"}
    for constant in graph.initializer:
        if constant.name in scales:
            values = onnx.numpy_helper.to_array(constant)
            larger = np.where(values == 1, values, np.nextafter(values, np.float32(2)))
            constant.CopyFrom(onnx.numpy_helper.from_array(larger, constant.name))


def product(_: Path, precision: str) -> Compute:
    """A product of two matrices, whatever the images."""
    import tensorflow as tf

    matrix = tf.cast(tf.random.normal([PRODUCT, PRODUCT]), precision)
    multiply = tf.function(lambda a: tf.linalg.matmul(a, a))
    return lambda _: multiply(matrix).numpy()


ENGINES: dict[str, Callable[..., Compute]] = {
    "session": session,
    "model_server": model_server,
    "onnxruntime": onnxruntime,
    "product": product,
}


def rate(compute: Compute, images: np.ndarray, seconds: float) -> float:
    """Images a second."""
    compute(images)
    count, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        compute(images)
        count += len(images)
    return count / passed


def main() -> None:
    began = time.perf_counter()
    (engine, *options), folder = sys.argv[1].split(), Path(sys.argv[2])
    rng = np.random.default_rng(7)
    compute = ENGINES[engine](folder, *options)
    compute(rng.integers(0, 256, (1, SIZE, SIZE, 3), np.uint8))
    print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)
    for line in sys.stdin:
        batch, seconds = line.split()
        images = rng.integers(0, 256, (int(batch), SIZE, SIZE, 3), np.uint8)
        print(json.dumps({"rate": rate(compute, images, float(seconds))}), flush=True)


if __name__ == "__main__":
    main()
