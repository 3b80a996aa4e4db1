"""What computes a signature: TensorFlow itself, or OpenVINO in its place."""

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
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, rewriter_config_pb2
from tensorflow.python.grappler import tf_optimizer

from model_server.batching import BatchingParameters

ENGINES = ("tensorflow", "openvino", "openvino-int8")
INT8_SIGNATURE = "serving_default"
INT8_FILE = "model.xml"  # in a version's folder, where OpenVINO Model Server looks for it, too
MOST_FOR_WORDS = 1_000_000  # bytes of graph; more would compute the network twice
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}  # in OpenVINO's words

log = logging.getLogger("model_server")


Infer = Callable[..., list[np.ndarray]]  # arrays in the order of the inputs give the outputs


@dataclass(frozen=True)
class Part:
    """The part of a version's graph that computes a signature.

    Attributes:
        signature: its name.
        folder: the version's.
        graph: holds at least the nodes between inputs and outputs.
        inputs: name, type and shape of the tensors in the graph, by the signature's names.
        outputs: as inputs.
        session: where TensorFlow computes it.
    """

    signature: str
    folder: Path
    graph: graph_pb2.GraphDef
    inputs: dict[str, meta_graph_pb2.TensorInfo]
    outputs: dict[str, meta_graph_pb2.TensorInfo]
    session: tf.compat.v1.Session

    def placeholders(self) -> list[tf.Tensor]:
        """For the inputs, in the default graph."""
        return [
            tf.compat.v1.placeholder(info.dtype, tf.TensorShape(info.tensor_shape), f"input_{n}")
            for n, info in enumerate(self.inputs.values())
        ]

    def needed(self) -> graph_pb2.GraphDef:
        """The graph less what the outputs do not need."""
        infos = (*self.inputs.values(), *self.outputs.values())
        nodes = sorted({info.name.partition(":")[0] for info in infos})
        return tf.compat.v1.graph_util.extract_sub_graph(self.graph, nodes)

    def apply(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """The outputs, computed from `tensors` in the default graph.

        Raises:
            ValueError: the graph is not one that can be imported.
        """
        names = [info.name for info in self.inputs.values()]
        outputs: list[tf.Tensor] = tf.graph_util.import_graph_def(
            self.needed(),
            input_map=dict(zip(names, tensors, strict=True)),
            return_elements=[info.name for info in self.outputs.values()],
        )
        return outputs

    def inlined(self) -> "Part":
        """The same with what it calls in the place of the calls, by TensorFlow's own optimizer.

        What only has an effect, such as an assertion, is left out.

        Raises:
            ValueError, tf.errors.OpError: the graph is not one that can be imported or optimized.
        """
        with tf.Graph().as_default() as graph:
            inputs = self.placeholders()
            outputs = [tf.identity(o, f"output_{n}") for n, o in enumerate(self.apply(inputs))]
        meta_graph = tf.compat.v1.train.export_meta_graph(graph=graph)
        kept = meta_graph.collection_def["train_op"].node_list.value
        kept.extend(tensor.op.name for tensor in (*inputs, *outputs))
        config = config_pb2.ConfigProto()
        rewrites = config.graph_options.rewrite_options
        rewrites.optimizers.append("function")
        rewrites.function_optimization = rewriter_config_pb2.RewriterConfig.AGGRESSIVE
        rewrites.min_graph_nodes = -1  # also a graph of a single call
        optimized = tf_optimizer.OptimizeGraph(config, meta_graph)
        optimized.library.Clear()  # what was called; each holds the weights once more
        return replace(
            self,
            graph=optimized,
            inputs=dict(zip(self.inputs, map(_info, inputs), strict=True)),
            outputs=dict(zip(self.outputs, map(_info, outputs), strict=True)),
        )


def _info(tensor: tf.Tensor) -> meta_graph_pb2.TensorInfo:
    return tf.compat.v1.saved_model.build_tensor_info(tensor)


Engine = Callable[[Part], Infer]


def choose(wanted: str, flags: set[str]) -> str:
    """Settle "auto": OpenVINO on x86 with AVX2 or more, in float32 or bfloat16.

    Args:
        wanted: "auto" or one of ENGINES.
        flags: the processor's.
    """
    if wanted != "auto":
        return wanted
    return "openvino" if "avx2" in flags else "tensorflow"


def make(name: str, precision: str, threads: int = 0) -> Engine:
    """An engine.

    Args:
        name: one of ENGINES.
        precision: "float32" or "bfloat16".
        threads: how many OpenVINO may take; 0 is its own choice.
    """
    if name == "tensorflow":
        return tensorflow
    return OpenVINO(precision, threads, int8=name == "openvino-int8")


def tensorflow(part: Part) -> Infer:
    """TensorFlow's own runtime."""
    with part.session.graph.as_default():
        inputs = part.placeholders()
        infer: Infer = part.session.make_callable(part.apply(inputs), inputs)
    return infer


@dataclass(frozen=True)
class Runtime:
    """How the versions of a model are computed: by what, in which session, merged how."""

    engine: Engine = tensorflow
    config: tf.compat.v1.ConfigProto | None = None
    batching: BatchingParameters | None = None


@dataclass(frozen=True)
class OpenVINO:
    """Numbers come from OpenVINO; words, which it does not know, from TensorFlow.

    Raises FileNotFoundError, when called, if it should take int8 and the version has none.
    """

    precision: str
    threads: int = 0
    int8: bool = False

    def __call__(self, part: Part) -> Infer:
        is_word = {key: info.dtype == tf.string for key, info in part.outputs.items()}
        try:
            inlined = part.inlined()
            words, numbers = (
                replace(
                    inlined,
                    outputs={k: o for k, o in inlined.outputs.items() if is_word[k] == kind},
                )
                for kind in (True, False)
            )
            if words.outputs and words.needed().ByteSize() > MOST_FOR_WORDS:
                raise ValueError("its words depend on the network")
            compute = self._numbers(numbers)
        except FileNotFoundError:
            raise
        except Exception as error:  # OpenVINO raises RuntimeError for most, TypeError for some
            reason = str(error).strip().splitlines()[-1]
            log.warning(
                "TensorFlow computes signature %s, not OpenVINO: %s", part.signature, reason
            )
            return tensorflow(part)
        if not words.outputs:
            return compute
        spell = tensorflow(words)

        def infer(*arrays: np.ndarray) -> list[np.ndarray]:
            spelled, computed = iter(spell(*arrays)), iter(compute(*arrays))
            return [next(spelled if word else computed) for word in is_word.values()]

        return infer

    def _numbers(self, part: Part) -> Infer:
        if self.int8 and part.signature == INT8_SIGNATURE:
            file = part.folder / INT8_FILE
            if not file.exists():
                raise FileNotFoundError(
                    f"{file} is missing: trainer/quantize.py writes the int8 model"
                )
            return self._compiled(file, list(part.inputs), list(part.outputs))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "part.pb"
            file.write_bytes(part.needed().SerializeToString())
            inputs, outputs = ([i.name for i in x.values()] for x in (part.inputs, part.outputs))
            return self._compiled(file, inputs, outputs)

    def _compiled(self, file: Path, inputs: list[str], outputs: list[str]) -> Infer:
        properties: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": PRECISIONS[self.precision],
        }
        if self.threads:
            properties["INFERENCE_NUM_THREADS"] = self.threads
        compiled = openvino.Core().compile_model(file, "CPU", properties)
        request = compiled.create_infer_request()
        ports = [compiled.output(name) for name in outputs]
        # TensorFlow's threads have too small a stack for OpenVINO, which compiles in them.
        thread = ThreadPoolExecutor(1, "openvino")

        def compute(*arrays: np.ndarray) -> list[np.ndarray]:
            results = request.infer(dict(zip(inputs, arrays, strict=True)))
            return [np.array(results[port]) for port in ports]

        return lambda *arrays: thread.submit(compute, *arrays).result()
