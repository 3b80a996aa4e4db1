"""README and docstrings say what the code does."""

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from gateway import errors
from gateway.config import Settings
from gateway.errors import GatewayError

README = (Path(__file__).parents[2] / "README.md").read_text()


def kinds(parent: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    yield parent
    for kind in parent.__subclasses__():
        yield from kinds(kind)


@pytest.mark.parametrize("kind", list(kinds()))
def test_every_error_is_in_the_tree_and_in_the_table(kind: type[GatewayError]) -> None:
    assert re.search(rf"\b{kind.__name__} +{kind.status}\b", errors.__doc__ or "")
    assert f"| {kind.status} | {kind.title} |" in README


def shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_every_setting_is_in_the_table_with_its_default(field) -> None:
    default = shown(field.default)
    cell = f"`{default}`" if default else ""
    assert f"| `{Settings.variables()[field.name]}` | {cell}".rstrip() in README
