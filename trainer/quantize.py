"""Write an int8 copy of a version for OpenVINO, beside its SavedModel.

    python trainer/quantize.py --version model/sport-classification-model/4 \\
        --data FOLDER --manifest dataset/manifest.csv

Convolutions become int8 (Jacob et al. 2018); everything from the pooling on stays in float.
Stops with an error, and writes nothing, when the accuracy on the held-out images drops by more
than LARGEST_LOSS, or `in_domain` rejects more of them than LARGEST_REJECTION allows.
What was measured goes into RECORD; without it the embedded server does not use the copy.
"""

import argparse
import hashlib
import json
import logging
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import nncf
import numpy as np
import openvino
from data import (
    DataError,
    LabelledImage,
    classes_of,
    held_out,
    labels_of,
    load_batches,
    read_images,
)
from features import BATCH_SIZE
from network import SIZE
from nncf.quantization.advanced_parameters import OverflowFix
from openvino.passes import ConstantFolding, Manager
from predictions import Predictions

from model_server.saved_model import read_graph, read_signatures
from tf_serving.api_pb2 import DT_STRING

# Where the embedded server looks for them; OpenVINO Model Server reads the first two.
FILE, WEIGHTS, RECORD = "model.xml", "model.bin", "int8.json"
CALIBRATION_IMAGES = 300  # NNCF's own default
HEAD = ("Einsum", "ReduceMean")  # with all operations after them
LARGEST_LOSS = 0.003  # of the accuracy
LARGEST_REJECTION = 0.01  # of the held-out images, more than in float32
SEED = 7


class QuantizationError(Exception):
    """The int8 model is not good enough; nothing was written."""


def write_int8(version: Path, data: Path, manifest: Path) -> str:
    """Quantize a version, and record how much int8 changes.

    Args:
        version: its folder, as export.py wrote it; receives FILE, WEIGHTS and RECORD.
        data: the images; some training images calibrate, the held-out ones are compared.
        manifest: lists the split of each image.

    Returns:
        The differences between int8 and float32, in words.

    Raises:
        DataError, FileNotFoundError, QuantizationError
    """
    images = read_images(data, manifest)
    train, validation = [image for image in images if image.split == "train"], held_out(images)
    if not (train and validation):
        raise DataError(f"{manifest} must list images for training and held-out images")
    labels = labels_of(images)
    model = read_numeric_outputs(version)
    float32 = predict(model, validation, labels)
    chosen = random.Random(SEED).sample(train, min(CALIBRATION_IMAGES, len(train)))
    int8_model = quantize(model, chosen)
    int8 = predict(int8_model, validation, labels)
    difference = compare(float32, int8, classes_of(validation, labels))
    check(difference)
    openvino.save_model(int8_model, version / FILE)
    write_record(version, difference)
    return difference.text()


def write_record(version: Path, difference: "Difference") -> None:
    """Write what was measured, and of which weights, beside the int8 copy."""
    with (version / WEIGHTS).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    record = {**asdict(difference), "sha256": digest}
    (version / RECORD).write_text(json.dumps(record, indent=2) + "\n")


def read_numeric_outputs(version: Path) -> openvino.Model:
    """The SavedModel for OpenVINO, with the numeric outputs of all its signatures.

    Raises:
        FileNotFoundError: there is no SavedModel.
    """
    signature = read_signatures(version)["explain"]  # has the outputs of the default one, too
    names = [name for name, info in signature.outputs.items() if info.dtype != DT_STRING]
    model = read_graph(version, signature, names).model
    head = set(head_of(model))
    for cast in model.get_ops():  # NNCF does not compress a weight that is read through a cast
        consumers = (port.get_node() for out in cast.outputs() for port in out.get_target_inputs())
        in_head = any(consumer.get_friendly_name() in head for consumer in consumers)
        if cast.get_type_name() == "Convert" and not in_head:
            weight = cast.input_value(0).get_node()
            if weight.get_type_name() == "Constant":
                folded = openvino.op.Constant(weight.data.astype(np.float32))
                cast.output(0).replace(folded.output(0))
    model = openvino.Model(model.outputs, model.get_parameters(), version.parent.name)
    passes = Manager()
    passes.register_pass(ConstantFolding())  # depthwise weights are reshaped after their cast
    passes.run_passes(model)
    return model


def quantize(model: openvino.Model, images: Sequence[LabelledImage]) -> openvino.Model:
    """The model with int8 convolutions, whose ranges are those of the images' activations.

    The weights use half of the range: sums of two products then fit into 16 bits, and processors
    without VNNI, which add them there, compute the same as those with it.
    """
    batches = load_batches(images, SIZE, BATCH_SIZE)
    calibration = [pixels[None] for batch in batches for pixels in batch]
    return nncf.quantize(
        model,
        nncf.Dataset(calibration),
        subset_size=len(images),
        preset=nncf.QuantizationPreset.MIXED,  # for ReLU6 and linear activations in one model
        advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE),
        ignored_scope=nncf.IgnoredScope(names=head_of(model), validate=False),
    )


def head_of(model: openvino.Model) -> list[str]:
    """The operations from the pooling on: 8 bits are too few for logits."""
    names: set[str] = set()
    for operation in model.get_ordered_ops():
        inputs = {value.get_node().get_friendly_name() for value in operation.input_values()}
        if operation.get_type_name() in HEAD or inputs & names:
            names.add(operation.get_friendly_name())
    return sorted(names)


def predict(
    model: openvino.Model, images: Sequence[LabelledImage], labels: list[str]
) -> Predictions:
    """Classify images, in float32 except for int8 operations."""
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    outputs = [compiled(batch) for batch in load_batches(images, SIZE, BATCH_SIZE)]
    probabilities, in_domain = (
        np.concatenate([output[name] for output in outputs])
        for name in ("probabilities", "in_domain")
    )
    return Predictions(labels, probabilities, in_domain)


@dataclass(frozen=True)
class Difference:
    """How int8 differs from float32 on the held-out images.

    Attributes:
        images: their number.
        accuracy, int8_accuracy: shares of right labels.
        rejected, int8_rejected: shares that `in_domain` rejects.
        same_label: images that have the same label in both.
        mean_difference, largest_difference: of probabilities.
    """

    images: int
    accuracy: float
    int8_accuracy: float
    rejected: float
    int8_rejected: float
    same_label: int
    mean_difference: float
    largest_difference: float

    def text(self) -> str:
        return (
            f"accuracy {self.accuracy:.2%} in float32, {self.int8_accuracy:.2%} in int8; rejected "
            f"{self.rejected:.2%} and {self.int8_rejected:.2%}; same label for {self.same_label} "
            f"of {self.images}; differences of probabilities {self.mean_difference:.4f} on "
            f"average, {self.largest_difference:.3f} at most"
        )


def compare(float32: Predictions, int8: Predictions, classes: np.ndarray) -> Difference:
    """Compare predictions for the same N images.

    Args:
        float32: in float32.
        int8: in int8.
        classes: int [N], the index of each one's label.
    """
    difference = abs(float32.probabilities - int8.probabilities)
    return Difference(
        images=len(classes),
        accuracy=float((float32.classes == classes).mean()),
        int8_accuracy=float((int8.classes == classes).mean()),
        rejected=float(float32.rejected.mean()),
        int8_rejected=float(int8.rejected.mean()),
        same_label=int((float32.classes == int8.classes).sum()),
        mean_difference=float(difference.mean()),
        largest_difference=float(difference.max()),
    )


def check(difference: Difference) -> None:
    """Accept a difference.

    Raises:
        QuantizationError: int8 loses too much.
    """
    loss = difference.accuracy - difference.int8_accuracy
    rejection = difference.int8_rejected - difference.rejected
    if loss > LARGEST_LOSS or rejection > LARGEST_REJECTION:
        raise QuantizationError(f"int8 loses too much: {difference.text()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--version", type=Path, required=True, help="the version's folder")
    parser.add_argument("--data", type=Path, required=True, help="a folder in the Kaggle layout")
    parser.add_argument("--manifest", type=Path, required=True, help="lists the held-out images")
    flags = parser.parse_args()
    nncf.set_log_level(logging.WARNING)  # otherwise it lists each operation of the head
    try:
        print(write_int8(flags.version, flags.data, flags.manifest))
    except (DataError, QuantizationError, OSError) as error:
        sys.exit(f"quantize.py: {error}")


if __name__ == "__main__":
    main()
