"""The embedded model server: TensorFlow Serving's gRPC API on TensorFlow's own runtime."""

import os

# Must stand in the environment before TensorFlow is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # it runs on the processor
