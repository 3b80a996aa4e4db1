"""Which precision a processor computes fastest in."""

from pathlib import Path

import keras

BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")


def use_precision(wanted: str, gains: bool, cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Set Keras' policy for the layers that are made from now on.

    bfloat16 pays where the processor has instructions for it; others emulate it, ten
    times slower.

    Args:
        wanted: "float32", "bfloat16" or "auto".
        gains: whether the network is one that bfloat16 makes faster.
        cpuinfo: what the kernel says of the processor.

    Returns:
        "float32" or "bfloat16".
    """
    if wanted == "auto":
        flags = cpuinfo.read_text() if cpuinfo.exists() else ""
        able = any(flag in flags for flag in BFLOAT16_FLAGS)
        wanted = "bfloat16" if able and gains else "float32"
    keras.config.set_dtype_policy("mixed_bfloat16" if wanted == "bfloat16" else "float32")
    return wanted
