import subprocess
import sys
from pathlib import Path

TRAINER = Path(__file__).parents[1]


def test_tensorflow_is_loaded_without_a_word() -> None:
    script = "import environment, keras, sys; keras.ops.ones(1); print('said', file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=TRAINER, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "said\n")
