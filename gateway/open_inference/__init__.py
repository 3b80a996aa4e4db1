"""The Open Inference Protocol's gRPC API, as far as the gateway speaks it."""

SERVICE = "inference.GRPCInferenceService"
MODEL_READY = f"/{SERVICE}/ModelReady"
MODEL_METADATA = f"/{SERVICE}/ModelMetadata"
MODEL_INFER = f"/{SERVICE}/ModelInfer"
