from pathlib import Path

import keras
import numpy as np
import pytest
from data import DataError
from head import fit
from processor import use_precision
from train import read_flags, towers_of


@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_separates_separable_classes(classes: int) -> None:
    rng = np.random.default_rng(2)
    correct = rng.integers(0, classes, 300)
    centres = 5 * rng.normal(size=(classes, 20)) + 100
    features = (centres[correct] + rng.normal(size=(300, 20))).astype(np.float32)
    kernel, bias = fit(features, correct, c=1e-3)
    assert (kernel.shape, bias.shape) == ((20, classes), (classes,))
    assert ((features @ kernel + bias).argmax(1) == correct).mean() == 1


def test_base_weights_name_their_tower() -> None:
    given = ["inception_v3=imagenet", "efficientnet_lite2=a=b.h5"]
    assert towers_of(given) == [("inception_v3", "imagenet"), ("efficientnet_lite2", "a=b.h5")]
    for wrong in ("imagenet", "resnet=imagenet", "inception_v3="):
        with pytest.raises(DataError, match="is not TOWER=WEIGHTS"):
            towers_of([wrong])


@pytest.mark.parametrize(
    ("flags", "gains", "expected"),
    [
        ("avx2 avx512_bf16", True, "bfloat16"),
        ("avx2 avx512_bf16", False, "float32"),
        ("avx2", True, "float32"),
    ],
)
def test_precision_depends_on_processor_and_tower(
    tmp_path: Path, flags: str, gains: bool, expected: str
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"flags : {flags}")
    assert use_precision("auto", gains, cpuinfo) == expected
    policy = "mixed_bfloat16" if expected == "bfloat16" else "float32"
    assert keras.config.dtype_policy().name == policy


def test_data_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_flags([])
    assert "--data is required" in capsys.readouterr().err
