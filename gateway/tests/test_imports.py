"""What an import brings along, in a fresh interpreter."""

import json
import subprocess
import sys


def modules_after(code: str) -> set[str]:
    """The top-level packages that are loaded after running the code."""
    code += """
import json, sys
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return set(json.loads(ended.stdout))


def test_images_load_only_pillow_numpy_and_keras_image_helper() -> None:
    needed = modules_after("import PIL.Image, numpy, keras_image_helper")
    loaded = modules_after("import gateway.images")
    assert {"PIL", "numpy", "keras_image_helper"} <= loaded
    assert loaded - needed == {"gateway"}
    assert not loaded & {"flask", "werkzeug", "grpc", "dns", "prometheus_client", "structlog"}


def test_the_images_module_loads_no_other_part_of_the_gateway() -> None:
    code = """
import sys
import gateway.images
loaded = sorted(name for name in sys.modules if name.startswith("gateway"))
assert loaded == ["gateway", "gateway.errors", "gateway.images"], loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_import_of_the_gateway_adds_no_warning_filter() -> None:
    code = """
import warnings
import PIL.Image, keras_image_helper, requests, urllib3.connectionpool
before = list(warnings.filters)
import gateway.images, gateway.app
assert warnings.filters == before, set(warnings.filters) ^ set(before)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_gateway_does_not_import_tensorflow() -> None:
    code = """
from gateway.app import create_app
from gateway.config import Settings
create_app(Settings()).test_client().get("/ping")
"""
    assert not {"tensorflow", "tensorflow_serving", "keras"} & modules_after(code)
