"""The embedded model server: TensorFlow Serving's gRPC API on TensorFlow's runtime or OpenVINO."""
