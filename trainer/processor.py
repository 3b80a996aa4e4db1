"""The precision that the layers of a network compute in."""

from pathlib import Path

import keras

from model_server.processor import flags, has_bfloat16

CPUINFO = Path("/proc/cpuinfo")


def use_precision(wanted: str, gains: bool, cpuinfo: Path = CPUINFO) -> str:
    """Set Keras' policy for layers created after this call.

    bfloat16 is faster on processors with instructions for it; others emulate it, ten
    times slower.

    Args:
        wanted: "float32", "bfloat16" or "auto".
        gains: whether the network is faster in bfloat16.
        cpuinfo: the file in which Linux lists the processor's flags.

    Returns:
        "float32" or "bfloat16".
    """
    if wanted == "auto":
        wanted = "bfloat16" if gains and has_bfloat16(flags(cpuinfo)) else "float32"
    keras.config.set_dtype_policy("mixed_bfloat16" if wanted == "bfloat16" else "float32")
    return wanted
