import re
from pathlib import Path

import pytest

from model_server import processor

SERVE_SCRIPT = Path(__file__).parents[2] / "serve.sh"


@pytest.mark.parametrize(
    ("wanted", "flags", "precision"),
    [
        ("auto", {"avx2"}, "float32"),
        ("auto", {"avx2", "avx512_bf16"}, "bfloat16"),
        ("auto", {"amx_bf16"}, "bfloat16"),
        ("bfloat16", {"avx512_bf16"}, "bfloat16"),
        ("off", {"avx512_bf16"}, "float32"),
    ],
)
def test_precision_follows_the_processor(wanted: str, flags: set[str], precision: str) -> None:
    assert processor.precision(wanted, flags) == precision


def test_bfloat16_without_instructions_for_it_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no bfloat16 instructions \(amx_bf16, avx512_bf16\)"):
        processor.precision("bfloat16", {"avx2"})


def test_flags_are_read_from_cpuinfo(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nflags\t\t: fpu avx2 amx_bf16\n\nprocessor : 1\n")
    assert processor.flags(cpuinfo) == {"fpu", "avx2", "amx_bf16"}
    assert processor.flags(tmp_path / "missing") == set()


def test_script_of_tensorflow_servings_image_knows_the_same_flags() -> None:
    match = re.search(r"grep -qwE '([a-z0-9_|]+)' /proc/cpuinfo", SERVE_SCRIPT.read_text())
    assert match
    assert set(match[1].split("|")) == processor.BFLOAT16_FLAGS
