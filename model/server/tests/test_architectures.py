"""Networks of keras.applications as Keras exports them, with random weights."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
from server_models import ARCHITECTURES, ARCHIVE
from serving_client import serve


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("architectures")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_plain_keras_export_is_served(exports: Path, name: str) -> None:
    expected = np.load(exports / name / "expected.npz")
    with serve(exports / name) as client:
        client.wait_for_version(1)
        signature = client.versions.servable("m").definitions["serving_default"]
        (input_name,) = signature.inputs
        (outputs,) = client.predict(**{input_name: expected["images"]}).values()
    assert expected["outputs"].std(axis=0).max() > 0.001  # the two images differ
    np.testing.assert_allclose(outputs, expected["outputs"], atol=1e-4)
