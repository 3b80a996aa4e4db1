"""The networks of a version, compiled by OpenVINO."""

import contextlib
import ctypes
import gc
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from model_server.errors import Unimplemented, last_line
from model_server.graph_cache import read_cached_graph
from model_server.openvino_core import CORE
from model_server.precision import INT8_MODEL, has_bf16
from model_server.tensors import TYPES, type_name
from tf_serving import api_pb2 as tf

Arrays = Mapping[str, np.ndarray]  # by the names of inputs or outputs
Infer = Callable[[Arrays], dict[str, np.ndarray]]
CACHED_NETWORKS = 8  # files; older ones are deleted


@dataclass(frozen=True)
class Compiler:
    """How networks are compiled.

    Attributes:
        precision: "int8", "bf16" or "fp32".
        threads: that compute; 0 leaves OpenVINO the choice.
        cache: a folder that keeps compiled networks for the next start.
    """

    precision: str
    threads: int = 0
    cache: Path | None = None

    def compile(self, model: openvino.Model) -> "CompiledNetwork":
        """Compile a model.

        Raises:
            Unimplemented: OpenVINO cannot compute it.
        """
        in_bf16 = self.precision != "fp32" and has_bf16()
        properties: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if in_bf16 else "f32",
        }
        if self.threads:
            properties["INFERENCE_NUM_THREADS"] = self.threads
            # Each process would pin its threads to the same, first processors.
            properties["ENABLE_CPU_PINNING"] = False
        if self.cache:
            properties["CACHE_DIR"] = str(self.cache)
            files = sorted(self.cache.glob("*.blob"), key=lambda file: file.stat().st_mtime)
            for file in files[:-CACHED_NETWORKS]:
                file.unlink(missing_ok=True)
        try:
            compiled = CORE.compile_model(model, "CPU", properties)
        except RuntimeError as error:
            raise Unimplemented(
                f"OpenVINO cannot compute this model: {last_line(error)}: "
                "serve it with TensorFlow Serving"
            ) from None
        return CompiledNetwork(compiled)


class CompiledNetwork:
    """Computes one request at a time, on all threads; may be called from any thread."""

    def __init__(self, compiled: openvino.CompiledModel) -> None:
        self.outputs = {name: port for port in compiled.outputs for name in port.names}
        self._inputs = [(port, port.names) for port in compiled.inputs]
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()

    def __call__(self, inputs: Arrays) -> dict[str, np.ndarray]:
        """Compute all outputs."""
        arrays = {
            port: array
            for port, names in self._inputs
            for name, array in inputs.items()
            if name in names
        }
        with self._lock:
            results = self._request.infer(arrays)
            return {name: np.array(results[port]) for name, port in self.outputs.items()}


@dataclass(frozen=True)
class Networks:
    """The networks that compute the signatures of the version in a folder."""

    folder: Path
    compiler: Compiler

    def compile(self, signature: tf.SignatureDef) -> Infer:
        """Compile what computes a signature.

        Raises:
            Unimplemented: OpenVINO cannot compute it.
        """
        for name, info in signature.inputs.items():
            if info.dtype == tf.DT_STRING or info.dtype not in TYPES:
                raise Unimplemented(
                    f"OpenVINO takes no input of type {type_name(info.dtype)}, such as {name}: "
                    "serve this model with TensorFlow Serving"
                )
        outputs = dict(signature.outputs)
        # OpenVINO names a tensor once, even if it is several outputs.
        names = {info.name: name for name, info in sorted(outputs.items(), reverse=True)}
        missing = set(names.values())
        numeric = {name for name in missing if outputs[name].dtype != tf.DT_STRING}
        parts, strings = [], np.array([], object)
        in_int8 = self.compiler.precision == "int8" and numeric <= self._int8_outputs
        if in_int8:
            missing -= numeric
        if missing:
            graph = read_cached_graph(self.folder, signature, missing, self.compiler.cache)
            parts.append(self.compiler.compile(graph.model))
            strings = graph.strings
            del graph
            release_memory()  # reading a graph needs more than compiling it
        if in_int8:
            parts.append(self._int8)
            release_memory()

        def infer(inputs: Arrays) -> dict[str, np.ndarray]:
            computed = {name: array for part in parts for name, array in part(inputs).items()}
            for name in missing - numeric:
                computed[name] = strings[computed[name]]
            return {name: computed[names[info.name]] for name, info in outputs.items()}

        return infer

    @cached_property
    def _int8_outputs(self) -> set[str]:
        return {name for port in self._read_int8().outputs for name in port.names}

    @cached_property
    def _int8(self) -> CompiledNetwork:
        # The rest in bfloat16 would be as fast, and takes more images of other sports for known.
        return replace(self.compiler, precision="fp32").compile(self._read_int8())

    def _read_int8(self) -> openvino.Model:
        return CORE.read_model(self.folder / INT8_MODEL)


def release_memory() -> None:
    """Return the memory that loading needed to the system; glibc keeps it by default."""
    gc.collect()
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
