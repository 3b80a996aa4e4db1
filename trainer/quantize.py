"""Write an int8 copy of a version for OpenVINO, beside its SavedModel.

    python trainer/quantize.py --version model/sport-classification-model/3 \\
        --data FOLDER --manifest dataset/manifest.csv

Convolutions become int8, after Jacob et al. 2018; all from the pooling on stays in float.
Refuses to finish when the copy gets fewer of the held-out pictures right, or takes more of
them for something else, than LARGEST_LOSS and LARGEST_REFUSAL allow.
"""

import argparse
import logging
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import nncf
import numpy as np
import openvino
from data import DataError, Picture, labels_of, load, read
from evaluate import Answers
from features import BATCH_SIZE
from network import SIZE
from openvino.passes import ConstantFolding, Manager

FILE = "model.xml"  # where the embedded server and OpenVINO Model Server look for it
CALIBRATED_ON = 300  # pictures; what NNCF itself takes
HEAD = ("Einsum", "ReduceMean")  # with all that comes after them
LARGEST_LOSS = 0.003  # of the accuracy
LARGEST_REFUSAL = 0.01  # of the held-out pictures, more than float32 puts below 0.5
SEED = 7


class QuantizationError(Exception):
    """The int8 model is not good enough; nothing was written."""


def write_int8(version: Path, data: Path, manifest: Path) -> str:
    """Quantize a version.

    Args:
        version: its folder, as export.py wrote it; receives FILE and its weights.
        data: the pictures; some of those to train calibrate, those held out judge.
        manifest: which are which.

    Returns:
        What it cost, in words.

    Raises:
        DataError, FileNotFoundError, QuantizationError
    """
    pictures = read(data, manifest)
    train = [picture for picture in pictures if picture.split == "train"]
    held_out = [picture for picture in pictures if picture.split == "validation"]
    if not (train and held_out):
        raise DataError(f"{manifest} has to name pictures to train and pictures held out")
    labels = labels_of(pictures)
    right = np.array([labels.index(picture.label) for picture in held_out])
    model = numbers_of(version)
    before = ask(model, held_out, labels)
    chosen = random.Random(SEED).sample(train, min(CALIBRATED_ON, len(train)))
    int8 = quantize(model, chosen)
    text = check(before, ask(int8, held_out, labels), right)
    openvino.save_model(int8, version / FILE)
    return text


def numbers_of(version: Path) -> openvino.Model:
    """The SavedModel's serving_default for OpenVINO, without the outputs that are words.

    Raises:
        FileNotFoundError: there is no SavedModel.
    """
    if not (version / "saved_model.pb").is_file():
        raise FileNotFoundError(f"{version} holds no saved_model.pb")
    model = openvino.Core().read_model(version)
    numbers = [output for output in model.outputs if output.element_type != openvino.Type.string]
    head = set(head_of(model))
    for cast in model.get_ops():  # behind which NNCF stores no weight as int8
        takers = (taker.get_node() for out in cast.outputs() for taker in out.get_target_inputs())
        in_head = any(taker.get_friendly_name() in head for taker in takers)
        if cast.get_type_name() == "Convert" and not in_head:
            weight = cast.input_value(0).get_node()
            if weight.get_type_name() == "Constant":
                folded = openvino.op.Constant(weight.data.astype(np.float32))
                cast.output(0).replace(folded.output(0))
    model = openvino.Model(numbers, model.get_parameters(), version.parent.name)
    passes = Manager()
    passes.register_pass(ConstantFolding())  # depthwise weights are reshaped behind their cast
    passes.run_passes(model)
    return model


def quantize(model: openvino.Model, pictures: Sequence[Picture]) -> openvino.Model:
    """The model with int8 convolutions, their ranges taken from what pictures do to it."""
    calibration = (image[None] for batch in load(pictures, SIZE, BATCH_SIZE) for image in batch)
    return nncf.quantize(
        model,
        nncf.Dataset(list(calibration)),
        subset_size=len(pictures),
        preset=nncf.QuantizationPreset.MIXED,  # ReLU6 and linear outputs stand side by side
        ignored_scope=nncf.IgnoredScope(names=head_of(model), validate=False),
    )


def head_of(model: openvino.Model) -> list[str]:
    """The operations from the pooling on: 8 bits of a logit or of a length are too few."""
    names: set[str] = set()
    for operation in model.get_ordered_ops():
        before = {value.get_node().get_friendly_name() for value in operation.input_values()}
        if operation.get_type_name() in HEAD or before & names:
            names.add(operation.get_friendly_name())
    return sorted(names)


def ask(model: openvino.Model, pictures: Sequence[Picture], labels: list[str]) -> Answers:
    """What the model says of the pictures, in float32 where it is not int8."""
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    outputs = [compiled(batch) for batch in load(pictures, SIZE, BATCH_SIZE)]
    probabilities, in_domain = (
        np.concatenate([output[name] for output in outputs])
        for name in ("probabilities", "in_domain")
    )
    return Answers(labels, probabilities, in_domain)


def check(before: Answers, after: Answers, right: np.ndarray) -> str:
    """What quantization cost, in words.

    Args:
        before: float32's, for N pictures.
        after: int8's.
        right: int [N], the number of each one's label.

    Raises:
        QuantizationError: too much.
    """
    right_before, right_after = (float((a.given == right).mean()) for a in (before, after))
    refused_before, refused_after = (float((a.in_domain < 0.5).mean()) for a in (before, after))
    same = int((before.given == after.given).sum())
    off = abs(before.probabilities - after.probabilities)
    text = (
        f"accuracy {right_before:.2%} in float32, {right_after:.2%} in int8; refused "
        f"{refused_before:.2%} and {refused_after:.2%}; same label for {same} of {len(right)}, "
        f"probabilities off by {off.mean():.4f} on average and {off.max():.3f} at most"
    )
    lost, refused = right_before - right_after, refused_after - refused_before
    if lost > LARGEST_LOSS or refused > LARGEST_REFUSAL:
        raise QuantizationError(f"int8 loses too much: {text}")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--version", type=Path, required=True, help="the version's folder")
    parser.add_argument("--data", type=Path, required=True, help="a folder in the Kaggle layout")
    parser.add_argument("--manifest", type=Path, required=True, help="says what was held out")
    flags = parser.parse_args()
    nncf.set_log_level(logging.WARNING)  # else it names each operation of the head
    try:
        print(write_int8(flags.version, flags.data, flags.manifest))
    except (DataError, QuantizationError, OSError) as error:
        sys.exit(f"quantize.py: {error}")


if __name__ == "__main__":
    main()
