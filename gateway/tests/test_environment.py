"""Which interpreter `make` chooses for an environment, and what it says when none fits."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci/environment.sh"
# Runs the code after -c as another version; has no modules pip and ensurepip.
PYTHON = """\
#!/bin/sh
[ "$1" = -c ] || exit 1
exec {real} -c "import sys; sys.version_info = (3, {minor}, 0); sys.modules['ensurepip'] = None
$2"
"""
BROKEN = "#!/bin/sh\nexit 127\n"  # such as pyenv's for a version that is not selected
UV = '#!/bin/sh\necho "uv $*"\n[ "$1" != venv ]\n'


class Machine:
    """A project folder, and a PATH with the given programs only."""

    def __init__(self, folder: Path) -> None:
        self._project, self.programs = folder / "project", folder / "bin"
        self.programs.mkdir()
        (self._project / ".ci").mkdir(parents=True)
        shutil.copy(SCRIPT, self._project / ".ci")
        self._write(self._project / ".venv/uv/bin/uv", UV)
        for tool in ("dirname", "mkdir", "rm", "sh", "touch"):
            (self.programs / tool).symlink_to(shutil.which(tool) or tool)

    def _write(self, file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)

    def add_python(self, name: str, minor: int) -> None:
        self.add(name, PYTHON.format(real=sys.executable, minor=minor))

    def add(self, name: str, text: str) -> None:
        self._write(self.programs / name, text)

    def make(self, environment: str, **variables: str) -> str:
        run = subprocess.run(
            ["sh", ".ci/environment.sh", environment, "", "lock"],
            cwd=self._project,
            env={"PATH": str(self.programs), **variables},
            capture_output=True,
            text=True,
        )
        return run.stdout + run.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("environment", "pythons", "chosen"),
    [
        ("run", {"python3": 11, "python3.12": 12, "python3.14": 14}, "python3.14"),
        ("run", {"python3": 15, "python3.13": 13}, "python3.13"),
        ("run", {"python3": 12}, "python3"),
        ("run", {"python": 11}, "python"),
        ("dev", {"python3": 14, "python3.12": 12, "python3.14": 14}, "python3.12"),
    ],
)
def test_the_newest_that_fits_is_chosen(
    machine: Machine, environment: str, pythons: dict[str, int], chosen: str
) -> None:
    for name, minor in pythons.items():
        machine.add_python(name, minor)
    assert f"--python {chosen} " in machine.make(environment)


def test_one_that_does_not_work_is_passed_over(machine: Machine) -> None:
    machine.add("python3.14", BROKEN)
    machine.add_python("python3.13", 13)
    assert "--python python3.13 " in machine.make("run")


def test_the_variable_overrides_the_choice(machine: Machine) -> None:
    machine.add_python("python3.14", 14)
    machine.add_python("mine", 12)
    assert "--python mine " in machine.make("run", PYTHON="mine")


def test_uv_finds_one_when_path_has_none(machine: Machine) -> None:
    machine.add_python("python3", 10)
    machine.add("uv", UV)
    assert "--python >=3.11,<3.15 " in machine.make("run")
    assert "--python >=3.11,<3.14 " in machine.make("dev")


@pytest.mark.parametrize(
    ("environment", "needs"),
    [
        ("run", "Python 3.11, 3.12, 3.13 or 3.14"),
        (
            "dev",
            "Python 3.11, 3.12 or 3.13, because TensorFlow has no packages for others",
        ),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(
    machine: Machine, environment: str, needs: str
) -> None:
    machine.add_python("python3", 10)
    output = machine.make(environment)
    assert f".venv/{environment} needs {needs}, and PATH has none of them: install one" in output
    assert output.count("\n") == 1


def test_a_chosen_one_that_does_not_fit_is_reported(machine: Machine) -> None:
    machine.add_python("mine", 15)
    output = machine.make("run", PYTHON="mine")
    assert output == "PYTHON=mine does not fit: .venv/run needs Python 3.11, 3.12, 3.13 or 3.14.\n"


def test_an_interpreter_without_pip_and_venv_is_reported(machine: Machine) -> None:
    machine.add_python("python3", 14)
    output = machine.make("uv")
    assert "python3 has neither pip nor venv: install one of them" in output
    assert output.count("\n") == 1
