"""A page about each problem; the problem's `type` is its address."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from flask import Blueprint, abort, render_template_string
from markupsafe import Markup, escape

PROBLEMS = Path(__file__).parent / "problems.yaml"
TEMPLATE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ problem.title }}</title>
<link rel="icon" href="/page/icon.svg">
<link rel="stylesheet" href="/page/page.css">
<main>
<h1>{{ problem.title }}</h1>
<p>HTTP status {{ problem.status }}</p>
<h2>When it occurs</h2>
<p>{{ when }}.</p>
<h2>What to do</h2>
<p>{{ what }}</p>
<p><a href="/docs">The API</a> · <a href="/">Classify an image</a></p>
</main>
</html>
"""

problem_pages = Blueprint("problem_pages", __name__)


@problem_pages.get("/problems/<name>")
def problem_page(name: str) -> str:
    problem = problems().get(name) or abort(404)
    when = problem["when"][0].upper() + problem["when"][1:]
    return render_template_string(
        TEMPLATE, problem=problem, when=_marked_up(when), what=_marked_up(problem["do"])
    )


@cache
def problems() -> dict[str, dict[str, Any]]:
    """Every problem's title, status, when it occurs and what to do, by the end of its `type`."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(PROBLEMS.read_text())
    return found


def _marked_up(text: str) -> Markup:
    """Text in which `this` is code, as HTML."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
