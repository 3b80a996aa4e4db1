"""The embedded model server: TensorFlow Serving's gRPC API on OpenVINO."""

import sys

# If OpenVINO finds this package, it sends Google Analytics a report of each import.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
