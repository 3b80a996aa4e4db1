"""A page about each problem; the problem's `type` is its address."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from flask import Blueprint, abort, render_template

PROBLEMS = Path(__file__).parent / "problems.yaml"

problem_pages = Blueprint("problem_pages", __name__)


@problem_pages.get("/problems/<name>")
def problem_page(name: str) -> str:
    problem = problems().get(name) or abort(404)
    when = problem["when"][0].upper() + problem["when"][1:]
    return render_template("problem.html", problem=problem, when=when)


@cache
def problems() -> dict[str, dict[str, Any]]:
    """Every problem's title, status, when it occurs and what to do, by the end of its `type`."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(PROBLEMS.read_text())
    return found
