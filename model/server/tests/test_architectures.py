"""Networks of keras.applications as Keras exports them, with random weights."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import server_models
from serving_client import serve

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="needs TensorFlow"),
    pytest.mark.timeout(900),  # of which importing TensorFlow can take minutes
]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("architectures")
    return server_models.write(folder, *server_models.ARCHITECTURES)


@pytest.mark.parametrize("name", server_models.ARCHITECTURES)
def test_plain_keras_export_is_served(exports: Path, name: str) -> None:
    expected = np.load(exports / name / "expected.npz")
    with serve(exports / name) as client:
        client.wait_for_version(1)
        signature = client.versions.servable("m").definitions["serving_default"]
        (input_name,) = signature.inputs
        (outputs,) = client.predict(**{input_name: expected["images"]}).values()
    np.testing.assert_allclose(outputs, expected["outputs"], atol=1e-4)
