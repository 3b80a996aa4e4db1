"""Runs notebooks in the test's own process, which costs no second start of TensorFlow."""

from pathlib import Path
from typing import Any

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def run_notebook(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Run the code cells of a notebook in order.

    Args:
        name: the notebook's, without .ipynb.
        parameters: replace the values that the cell tagged "parameters" sets.

    Returns:
        The notebook's variables.
    """
    variables: dict[str, Any] = {"__name__": "__main__"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(NOTEBOOKS)
        for number, cell in enumerate(nbformat.read(f"{name}.ipynb", as_version=4).cells):
            if cell.cell_type == "code":
                exec(compile(cell.source, f"{name}.ipynb, cell {number}", "exec"), variables)
            if "parameters" in cell.metadata.get("tags", []):
                assert parameters.keys() <= variables.keys()
                variables |= parameters
    return variables
