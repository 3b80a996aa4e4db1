"""The precision that a version is computed in."""

import hashlib
import json
import platform
from pathlib import Path

from model_server.openvino_core import CORE

CHOICES = ("auto", "int8", "bf16", "fp32")
# trainer/quantize.py writes these into the folder of a version.
INT8_MODEL = "model.xml"
INT8_WEIGHTS = "model.bin"
INT8_RECORD = "int8.json"  # what it measured; written only when int8 passed its check
# Where int8 has been measured to be the fastest.
INT8_MACHINES = ("x86_64", "AMD64")


def has_bf16() -> bool:
    """Whether the processor has instructions for bfloat16; emulating it is many times slower."""
    return "BF16" in CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def check(wanted: str) -> None:
    """Check a choice that does not depend on the version.

    Raises:
        ValueError: the processor lacks the precision.
    """
    if wanted == "bf16" and not has_bf16():
        raise ValueError("--precision=bf16: this processor has no bfloat16 instructions")


def choose(wanted: str, folder: Path) -> str:
    """The precision for a version: "int8", "bf16" or "fp32".

    Args:
        wanted: one of CHOICES; "auto" takes the fastest that the processor has and that the
            version's check has passed.
        folder: the version's.

    Raises:
        ValueError: int8 is wanted, and the version has no int8 model that was checked.
    """
    if wanted in ("bf16", "fp32"):
        return wanted
    objection = _objection_to_int8(folder)
    if wanted == "int8" and objection:
        raise ValueError(objection)
    if not objection and (wanted == "int8" or platform.machine() in INT8_MACHINES):
        return "int8"
    return "bf16" if has_bf16() else "fp32"


def _objection_to_int8(folder: Path) -> str:
    """Why int8 must not be used, or an empty text."""
    record, weights = folder / INT8_RECORD, folder / INT8_WEIGHTS
    for file in (folder / INT8_MODEL, weights, record):
        if not file.is_file():
            return f"{file} is missing: trainer/quantize.py writes and checks the int8 model"
    with weights.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    try:
        if json.loads(record.read_text())["sha256"] == digest:
            return ""
    except (ValueError, KeyError, TypeError):
        pass
    return f"{record} is not about {weights}: check the int8 model with trainer/quantize.py"
