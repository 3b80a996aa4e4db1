"""The precision that the layers of a network compute in."""

from pathlib import Path

import keras

CPUINFO = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


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
        wanted = "bfloat16" if gains and has_bfloat16(cpuinfo) else "float32"
    keras.config.set_dtype_policy("mixed_bfloat16" if wanted == "bfloat16" else "float32")
    return wanted


def has_bfloat16(cpuinfo: Path = CPUINFO) -> bool:
    """Whether the processor has instructions for bfloat16; False where Linux does not say."""
    if not cpuinfo.exists():
        return False
    lines = cpuinfo.read_text().splitlines()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not BFLOAT16_FLAGS.isdisjoint(flags.split())
