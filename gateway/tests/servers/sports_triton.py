"""Triton with our model: python sports_triton.py MODEL.XML PORT. Its labels are the client's."""

import sys

import numpy as np
import openvino as ov
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

model = ov.Core().compile_model(sys.argv[1], "CPU")


@batch
def infer(images: np.ndarray) -> dict[str, np.ndarray]:
    results = model(images)
    return {
        "probabilities": results["probabilities"],
        "in_domain": results["in_domain"].reshape(-1, 1),
    }


port = int(sys.argv[2])
config = TritonConfig(grpc_port=port, allow_http=False, allow_metrics=False)
with Triton(config=config) as triton:
    triton.bind(
        model_name="sport-classification-model",
        infer_func=infer,
        inputs=[Tensor(name="images", dtype=np.uint8, shape=(299, 299, 3))],
        outputs=[
            Tensor(name="probabilities", dtype=np.float32, shape=(7,)),
            Tensor(name="in_domain", dtype=np.float32, shape=(1,)),
        ],
        config=ModelConfig(max_batch_size=16),
    )
    triton.serve()
