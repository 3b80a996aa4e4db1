"""A page about each problem; the problem's `type` is its address."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from flask import Blueprint, abort, render_template_string

PROBLEMS = Path(__file__).parent / "problems.yaml"
# What stands between `grave accents` is code.
TEMPLATE = """{% macro marked_up(text) -%}
{% for part in text.split("`") -%}
{% if loop.index is odd %}{{ part }}{% else %}<code>{{ part }}</code>{% endif %}
{%- endfor %}
{%- endmacro %}
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ problem.title }}</title>
<link rel="icon" href="/page/icon.svg">
<link rel="stylesheet" href="/page/base.css">
<main class="text">
<h1>{{ problem.title }}</h1>
<p>HTTP status {{ problem.status }}</p>
<h2>When it occurs</h2>
<p>{{ marked_up(when) }}.</p>
<h2>What to do</h2>
<p>{{ marked_up(problem.do) }}</p>
<p><a href="/docs">The API</a> · <a href="/">Classify an image</a></p>
</main>
</html>
"""

problem_pages = Blueprint("problem_pages", __name__)


@problem_pages.get("/problems/<name>")
def problem_page(name: str) -> str:
    problem = problems().get(name) or abort(404)
    when = problem["when"][0].upper() + problem["when"][1:]
    return render_template_string(TEMPLATE, problem=problem, when=when)


@cache
def problems() -> dict[str, dict[str, Any]]:
    """Every problem's title, status, when it occurs and what to do, by the end of its `type`."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(PROBLEMS.read_text())
    return found
