"""The processor's instruction sets, and the precision to compute in with them."""

from pathlib import Path

BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


def flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> set[str]:
    """The processor's flags as listed by Linux; empty on other systems."""
    if not cpuinfo.exists():
        return set()
    lines = cpuinfo.read_text().splitlines()
    line = next((line for line in lines if line.startswith("flags")), ":")
    return set(line.split(":")[1].split())


def has_bfloat16(flags: set[str]) -> bool:
    """Whether a processor with these flags has bfloat16 instructions."""
    return not BFLOAT16_FLAGS.isdisjoint(flags)


def precision(wanted: str, flags: set[str]) -> str:
    """Choose between "bfloat16" and "float32".

    Args:
        wanted: "auto", "bfloat16" or "off".
        flags: the processor's.

    Raises:
        ValueError: bfloat16 is wanted on a processor without instructions for it. Emulating
            it would be many times slower.
    """
    available = has_bfloat16(flags)
    if wanted == "bfloat16" and not available:
        names = ", ".join(sorted(BFLOAT16_FLAGS))
        raise ValueError(f"this processor has no bfloat16 instructions ({names})")
    return "bfloat16" if available and wanted != "off" else "float32"
