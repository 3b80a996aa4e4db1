"""What the processor is good at decides the precision."""

from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import rewriter_config_pb2

BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> set[str]:
    """The processor's flags as Linux lists them; none where it does not."""
    if not cpuinfo.exists():
        return set()
    lines = cpuinfo.read_text().splitlines()
    line = next((line for line in lines if line.startswith("flags")), ":")
    return set(line.split(":")[1].split())


def precision(wanted: str, flags: set[str]) -> str:
    """Choose between "bfloat16" and "float32".

    Args:
        wanted: "auto", "bfloat16" or "off".
        flags: the processor's.

    Raises:
        ValueError: bfloat16 is wanted of a processor that only emulates it, many times slower.
    """
    able = bool(flags & BFLOAT16_FLAGS)
    if wanted == "bfloat16" and not able:
        raise ValueError("this processor has no bfloat16 instructions (avx512_bf16, amx_bf16)")
    return "bfloat16" if able and wanted != "off" else "float32"


def session_config(
    precision: str, intra_op_threads: int, inter_op_threads: int
) -> tf.compat.v1.ConfigProto:
    """How a session computes; 0 threads is TensorFlow's own choice."""
    config = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=intra_op_threads,
        inter_op_parallelism_threads=inter_op_threads,
    )
    if precision == "bfloat16":  # the rewrite behind TensorFlow Serving's --mixed_precision
        rewrites = config.graph_options.rewrite_options
        rewrites.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
    return config
