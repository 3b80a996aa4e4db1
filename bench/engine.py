"""One way to compute the model, in a process of its own and in the environment it needs.

    python bench/engine.py WAY VERSION_FOLDER

Prints a line of JSON when it is loaded and has answered once; then, for each line "BATCH SECONDS"
that it reads, the images a second that it computed in that time.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "model/server"))

SIZE = 299
PRODUCT = 2048  # rows and columns of the matrices whose product is the processor's peak
Compute = Callable[[np.ndarray], object]


def session(folder: Path, precision: str) -> Compute:
    """As TensorFlow Serving does it."""
    import tensorflow as tf

    from model_server import processor

    inside = tf.compat.v1.Session(
        graph=tf.Graph(), config=processor.session_config(precision, 0, 0)
    )
    with inside.graph.as_default() as graph:
        meta_graph = tf.compat.v1.saved_model.load(inside, ["serve"], str(folder))
        signature = meta_graph.signature_def["serving_default"]
        [given] = [graph.get_tensor_by_name(info.name) for info in signature.inputs.values()]
        outputs = [graph.get_tensor_by_name(info.name) for info in signature.outputs.values()]
    infer = inside.make_callable(outputs, [given])
    if given.dtype == tf.float32:
        return lambda images: infer(images.astype(np.float32) / 127.5 - 1)
    return infer


def served(folder: Path, engine: str, wanted: str = "auto") -> Compute:
    """As the embedded model server does it."""
    from model_server import engines, processor
    from model_server.servable import Servable

    flags = processor.flags()
    precision = wanted if wanted != "auto" else processor.precision("auto", flags)
    engine = engines.choose(engine, flags)
    config = processor.session_config(precision, 0, 0)
    runtime = engines.Runtime(engines.make(engine, precision), config)
    return Servable(folder, runtime).signatures["serving_default"].run


def onnxruntime(folder: Path) -> Compute:
    """The signature's numbers, converted by tf2onnx."""
    import onnx
    import onnxruntime
    import tensorflow as tf
    import tf2onnx

    infer = tf.saved_model.load(str(folder)).signatures["serving_default"]

    @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8)])
    def numbers(images: tf.Tensor) -> dict[str, tf.Tensor]:
        answer = infer(images=images)
        return {name: answer[name] for name in ("probabilities", "in_domain")}

    model, _ = tf2onnx.convert.from_function(
        numbers, input_signature=numbers.input_signature, opset=18
    )
    resized = {node.input[2] for node in model.graph.node if node.op_type == "Resize"}
    for constant in model.graph.initializer:  # 299 x 0.8561873 would be 255.99 and so 255
        if constant.name in resized:
            scales = onnx.numpy_helper.to_array(constant)
            enough = np.where(scales == 1, scales, np.nextafter(scales, np.float32(2)))
            constant.CopyFrom(onnx.numpy_helper.from_array(enough, constant.name))
    run = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    ).run
    return lambda images: run(None, {"images": images})


def product(_: Path, precision: str) -> Compute:
    import tensorflow as tf

    matrix = tf.cast(tf.random.normal([PRODUCT, PRODUCT]), precision)
    multiply = tf.function(lambda a: tf.linalg.matmul(a, a))
    return lambda _: multiply(matrix).numpy()


WAYS: dict[str, Callable[..., Compute]] = {
    "session": session,
    "engine": served,
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
    (way, *options), folder = sys.argv[1].split(), Path(sys.argv[2])
    rng = np.random.default_rng(7)
    compute = WAYS[way](folder, *options)
    compute(rng.integers(0, 256, (1, SIZE, SIZE, 3), np.uint8))
    print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)
    for line in sys.stdin:
        batch, seconds = line.split()
        images = rng.integers(0, 256, (int(batch), SIZE, SIZE, 3), np.uint8)
        print(json.dumps({"rate": rate(compute, images, float(seconds))}), flush=True)


if __name__ == "__main__":
    main()
