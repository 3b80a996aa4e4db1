"""The service asked what its description allows, and what it does not: schemathesis draws it."""

import os
from collections.abc import Iterator
from dataclasses import replace

import hypothesis
import pytest
import schemathesis
import yaml
from flask import Flask
from gateway_testing.fake_serving import FakeServing
from gateway_testing.name_server import NameServer
from hypothesis import HealthCheck, given
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from gateway import create_app
from gateway.config import Settings
from gateway.site import OPENAPI

# What is drawn is no picture, so what fits the description may be refused; and in a list of URLs
# each wrong one has its own error.
DRAWN_AWRY = [positive_data_acceptance, negative_data_rejection]
EXAMPLES = int(os.environ.get("EXAMPLES", "60"))


@pytest.fixture
def app(settings: Settings, serving: FakeServing) -> Iterator[Flask]:
    name_server = NameServer()  # knows no name
    closed = replace(settings, allow_private_sources=False, nameserver=name_server.address)
    app = create_app(closed)
    yield app
    app.extensions["gateway"].classifier.model.close()
    name_server.stop()


# A GET takes nothing that could be wrong.
OPERATIONS = [
    (path, method, mode)
    for path, item in yaml.safe_load(OPENAPI.read_text())["paths"].items()
    for method in item
    for mode in (GenerationMode if method == "post" else [GenerationMode.POSITIVE])
]


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files left open
@pytest.mark.parametrize(("path", "method", "mode"), OPERATIONS)
def test_every_answer_is_described(
    app: Flask, path: str, method: str, mode: GenerationMode
) -> None:
    operation = schemathesis.openapi.from_wsgi("/openapi.json", app)[path][method]

    @given(case=operation.as_strategy(generation_mode=mode))
    @hypothesis.settings(
        max_examples=EXAMPLES if method == "post" else 20,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(excluded_checks=DRAWN_AWRY)

    check()
