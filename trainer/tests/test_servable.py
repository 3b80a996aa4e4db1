from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from calibration import Calibration
from half_precision import cast_to_float16
from servable import Servable


def test_labels_do_not_depend_on_the_network() -> None:
    """A server can then compute string outputs with TensorFlow and numeric ones elsewhere."""

    @tf.function  # type: ignore[untyped-decorator]
    def network(images: tf.Tensor) -> list[tf.Tensor]:
        return [tf.cast(images[:, :8, :8, :2], tf.float32)]

    servable = Servable(network, ["a", "b"], Calibration(1.0, 0.0, 1.0))
    for signature in (servable.serving_default, servable.explain):
        graph = signature.get_concrete_function().graph

        def calls_network(output: str, graph: Any = graph) -> bool:
            name = graph.structured_outputs[output].op.name
            needed = tf.compat.v1.graph_util.extract_sub_graph(graph.as_graph_def(), [name])
            return any(node.op.endswith("PartitionedCall") for node in needed.node)

        assert calls_network("probabilities")
        assert not calls_network("labels")


def test_weights_that_float16_cannot_represent_are_an_error(tmp_path: Path) -> None:
    module = tf.Module()
    weights = np.full((64, 64), 1e6, np.float32)
    inputs = [tf.TensorSpec([None, 64], tf.float32)]
    module.serve = tf.function(
        lambda x: x @ tf.identity(tf.constant(weights)), input_signature=inputs
    )
    tf.saved_model.save(module, str(tmp_path), signatures=module.serve)
    with pytest.raises(ValueError, match="float16 cannot represent"):
        cast_to_float16(tmp_path / "saved_model.pb")
