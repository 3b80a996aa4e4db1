"""docs/client.md agrees with the command and the client."""

import re
from pathlib import Path
from typing import get_type_hints

import pytest
from sports import Prediction
from sports.__main__ import main

DOCUMENT = (Path(__file__).parents[2] / "docs/client.md").read_text()


def test_every_option_exists(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["predict"], ["watch"]):
        with pytest.raises(SystemExit):
            main([*arguments, "--help"])
    existing = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    assert set(re.findall(r"--[a-z][\w-]+", DOCUMENT)) <= existing


def test_every_field_of_a_prediction_is_named() -> None:
    assert all(f"`{name}`" in DOCUMENT for name in get_type_hints(Prediction))
