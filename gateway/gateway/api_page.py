"""The API's description as a page to read; Swagger UI, to try it, comes when asked for."""

import json
from functools import partial
from typing import Any

from flask import render_template

from gateway.problem_pages import problems

FIELDS = ("Prediction", "Model", "Problem")  # schemas whose fields are listed
EXAMPLE_FILE = "image.jpg"
ORIGIN = "http://localhost:9696"  # until a script of the page puts its own in its place


def api_page(document: dict[str, Any]) -> str:
    """A page with the routes of an OpenAPI document and every problem."""
    api = _resolve(document, document)
    commands = {
        operation["operationId"]: _commands(path, operation)
        for path, item in api["paths"].items()
        for operation in item.values()
    }
    written = partial(json.dumps, indent=2)
    return render_template(
        "docs.html",
        api=api,
        commands=commands,
        origin=ORIGIN,
        written=written,
        fields=FIELDS,
        problems=problems(),
    )


def _resolve(document: dict[str, Any], node: Any) -> Any:
    """A part of the document, with what its references name in their place."""
    if isinstance(node, list):
        return [_resolve(document, item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" not in node:
        return {key: _resolve(document, value) for key, value in node.items()}
    named: Any = document
    for key in node["$ref"].removeprefix("#/").split("/"):
        named = named[key]
    return _resolve(document, named)


def _commands(path: str, operation: dict[str, Any]) -> list[str]:
    """What follows `curl` and the service's address, for each form that a body may have."""
    required = [one for one in operation.get("parameters", []) if one.get("required")]
    query = "&".join(f"{one['name']}={one['example']}" for one in required if one["in"] == "query")
    start = f"{path}?{query}" if query else path
    if "requestBody" not in operation:
        return [start]
    bodies = operation["requestBody"]["content"].items()
    return [f"{start} {body}" for kind, content in bodies for body in _bodies(kind, content)]


def _bodies(kind: str, content: dict[str, Any]) -> list[str]:
    if kind == "multipart/form-data":
        return [f"-F image=@{EXAMPLE_FILE}"]
    if kind == "image/*":
        return [f"-H 'Content-Type: image/jpeg' --data-binary @{EXAMPLE_FILE}"]
    several = [one["value"] for one in content.get("examples", {}).values()]
    examples = several or [content["example"]]
    return [f"-H 'Content-Type: {kind}' -d '{json.dumps(one)}'" for one in examples]
