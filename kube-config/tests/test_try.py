"""What TRY.md says, as far as it can be tried without a cluster."""

import os
import re
import subprocess
import sys
from textwrap import dedent

import pytest
from machine import ROOT, output
from scripts import EKS, LOCAL, FakeMachine

TEXT = (ROOT / "kube-config/TRY.md").read_text()
FENCES = re.compile(r"^ *```(sh|text)\n(.+?)^ *```", re.DOTALL | re.MULTILINE)
BLOCKS = [(language, dedent(block)) for language, block in FENCES.findall(TEXT)]


def steps(text: str) -> list[str]:
    """What the scripts print before each step."""
    return re.findall(r"^== .+$", text, re.MULTILINE)


@pytest.mark.parametrize("block", [block for language, block in BLOCKS if language == "sh"])
def test_commands_are_valid(block: str) -> None:
    subprocess.run(["bash", "-n"], input=block, text=True, check=True)


def test_scripts_print_what_it_expects(machine: FakeMachine) -> None:
    expected = [steps(block) for _, block in BLOCKS if steps(block)]
    commands = (LOCAL,), (LOCAL, "--delete"), (EKS, "--create", "--dry-run"), (EKS, "--create")
    printed = [steps(machine.succeed(*command)) for command in commands]
    printed[-1] = printed[-1][-1:]  # it shows the end only
    assert printed == expected


def test_the_load_is_counted(service_port: int) -> None:
    [program] = re.findall(r"<<'END'\n(.+?)  END$", TEXT, re.DOTALL | re.MULTILINE)
    url = f"http://127.0.0.1:{service_port}/predict"
    environ = {**os.environ, "URL": url, "REQUESTS": "20"}
    assert output(sys.executable, "-c", dedent(program), env=environ) == "{200: 20}\n"
