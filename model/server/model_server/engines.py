"""The engines that run a signature: TensorFlow's runtime and OpenVINO."""

import logging
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import tensorflow as tf
from tensorflow.core.protobuf import rewriter_config_pb2

from model_server.batching_parameters import BatchingParameters
from model_server.signature_graph import Infer, SignatureGraph

INT8_SIGNATURE = "serving_default"
INT8_FILE = "model.xml"  # in a version's folder, where OpenVINO Model Server reads it as well
MAX_STRING_GRAPH_BYTES = 1_000_000  # a larger graph would compute the network a second time
OPENVINO_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}

log = logging.getLogger("model_server")

Engine = Callable[[SignatureGraph], Infer]


def choose(wanted: str, flags: set[str]) -> str:
    """The name of the engine; "auto" is "openvino" on x86 with AVX2, otherwise "tensorflow".

    Args:
        wanted: "auto" or the name of an engine.
        flags: the processor's.
    """
    if wanted != "auto":
        return wanted
    return "openvino" if "avx2" in flags else "tensorflow"


def make(name: str, precision: str, threads: int = 0) -> Engine:
    """An engine.

    Args:
        name: "tensorflow", "openvino" or "openvino-int8".
        precision: "float32" or "bfloat16".
        threads: the threads that OpenVINO may use; 0 leaves it the choice.
    """
    if name == "tensorflow":
        return tensorflow
    return OpenVINO(precision, threads, int8=name == "openvino-int8")


def session_config(
    precision: str, intra_op_threads: int, inter_op_threads: int
) -> tf.compat.v1.ConfigProto:
    """The configuration of a TensorFlow session; 0 threads leaves TensorFlow the choice."""
    config = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=intra_op_threads,
        inter_op_parallelism_threads=inter_op_threads,
    )
    if precision == "bfloat16":  # the rewrite that TensorFlow Serving's --mixed_precision enables
        rewrites = config.graph_options.rewrite_options
        rewrites.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
    return config


def tensorflow(graph: SignatureGraph) -> Infer:
    """Compute a signature with TensorFlow's own runtime."""
    with graph.session.graph.as_default():
        inputs = graph.placeholders()
        infer: Infer = graph.session.make_callable(graph.apply(inputs), inputs)
    return infer


@dataclass(frozen=True)
class Runtime:
    """How a model's signatures are run: engine, session configuration and batching."""

    engine: Engine = tensorflow
    config: tf.compat.v1.ConfigProto | None = None
    batching: BatchingParameters | None = None


@dataclass(frozen=True)
class OpenVINO:
    """Computes numeric outputs with OpenVINO; string outputs, which it lacks, with TensorFlow.

    A signature that OpenVINO cannot compute is computed by TensorFlow. Calling the engine raises
    FileNotFoundError when int8 is wanted and the version has no int8 model.
    """

    precision: str
    threads: int = 0
    int8: bool = False

    def __call__(self, graph: SignatureGraph) -> Infer:
        try:
            return self._compile(graph)
        except FileNotFoundError:
            raise
        except Exception as error:  # mostly RuntimeError, sometimes TypeError
            reason = str(error).strip().splitlines()[-1]
            log.warning(
                "TensorFlow computes signature %s, not OpenVINO: %s", graph.signature, reason
            )
            return tensorflow(graph)

    def _compile(self, graph: SignatureGraph) -> Infer:
        inlined = graph.inlined()
        strings = {k: info for k, info in inlined.outputs.items() if info.dtype == tf.string}
        numbers = {k: info for k, info in inlined.outputs.items() if k not in strings}
        if not strings:
            return self._compile_numeric_outputs(inlined)
        string_graph = replace(inlined, outputs=strings)
        if string_graph.pruned().ByteSize() > MAX_STRING_GRAPH_BYTES:
            raise ValueError("its string outputs depend on the network")
        infer_numbers = self._compile_numeric_outputs(replace(inlined, outputs=numbers))
        infer_strings = tensorflow(string_graph)

        def infer(*arrays: np.ndarray) -> list[np.ndarray]:
            outputs = dict(zip(strings, infer_strings(*arrays), strict=True))
            outputs |= zip(numbers, infer_numbers(*arrays), strict=True)
            return [outputs[name] for name in inlined.outputs]

        return infer

    def _compile_numeric_outputs(self, graph: SignatureGraph) -> Infer:
        if self.int8 and graph.signature == INT8_SIGNATURE:
            file = graph.folder / INT8_FILE
            if not file.exists():
                raise FileNotFoundError(
                    f"{file} is missing: trainer/quantize.py writes the int8 model"
                )
            return self._compile_file(file, list(graph.inputs), list(graph.outputs))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "signature.pb"
            file.write_bytes(graph.pruned().SerializeToString())
            inputs = [info.name for info in graph.inputs.values()]
            outputs = [info.name for info in graph.outputs.values()]
            return self._compile_file(file, inputs, outputs)

    def _compile_file(self, file: Path, inputs: list[str], outputs: list[str]) -> Infer:
        properties: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": OPENVINO_PRECISIONS[self.precision],
        }
        if self.threads:
            properties["INFERENCE_NUM_THREADS"] = self.threads
        compiled = openvino.Core().compile_model(file, "CPU", properties)
        request = compiled.create_infer_request()
        ports = [compiled.output(name) for name in outputs]
        # OpenVINO compiles in the calling thread and needs a larger stack than TensorFlow's have.
        thread = ThreadPoolExecutor(1, "openvino")

        def compute(*arrays: np.ndarray) -> list[np.ndarray]:
            results = request.infer(dict(zip(inputs, arrays, strict=True)))
            return [np.array(results[port]) for port in ports]

        return lambda *arrays: thread.submit(compute, *arrays).result()
