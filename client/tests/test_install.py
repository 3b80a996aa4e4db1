"""The command on its own, as the README installs it."""

import os
import re
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).parents[1]


def test_pip_installs_the_command_and_the_package(tmp_path: Path) -> None:
    install = "-m pip install --quiet --no-index --no-deps --no-build-isolation --target"
    command = [sys.executable, *install.split(), str(tmp_path), str(CLIENT)]
    subprocess.run(command, check=True, capture_output=True)
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def run(*command: str) -> str:
        return subprocess.check_output(
            [sys.executable, *command], cwd=tmp_path, env=environ, text=True
        )

    where = run("-c", "import sports; print(sports.__file__, end='')")
    assert Path(where).parent == tmp_path / "sports"
    assert (tmp_path / "sports/py.typed").exists()
    assert re.fullmatch(r"sports \d+\.\d+\.\d+\n", run("bin/sports", "--version"))
