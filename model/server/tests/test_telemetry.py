"""The model server reports to nobody."""

import os
import subprocess
import sys
from pathlib import Path


def test_openvino_reports_no_use_of_it(tmp_path: Path) -> None:
    """It would write a client's number into the home folder, and start a process that sends it."""
    code = "import model_server, openvino, sys; print(sys.modules['openvino_telemetry'])"
    environ = {name: value for name, value in os.environ.items() if name != "CI"}
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        env={**environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.stdout == "None\n", run.stderr
    assert list(tmp_path.iterdir()) == []
