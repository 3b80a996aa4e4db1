"""Server-side batching with the batching kernel of TensorFlow Serving."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from model_server.batching_parameters import BatchingParameters
from model_server.signature_graph import Infer


def batched(
    infer: Infer,
    inputs: Sequence[tf.TensorSpec],
    outputs: Sequence[tf.TensorSpec],
    parameters: BatchingParameters,
) -> Infer:
    """`infer`, with concurrent calls merged into one.

    Args:
        infer: computes arrays from arrays; all have the batch dimension first.
        inputs: specifications of the arrays that it takes.
        outputs: specifications of the arrays that it returns.
        parameters: the limits on size and delay of a batch.
    """

    def run(*arrays: np.ndarray) -> list[np.ndarray]:
        try:
            return infer(*arrays)
        except tf.errors.InvalidArgumentError as error:
            # tf.numpy_function turns a ValueError into an InvalidArgumentError again.
            raise ValueError(error.message) from None

    def compute_batch(*tensors: tf.Tensor) -> list[tf.Tensor]:
        computed = tf.numpy_function(run, tensors, [spec.dtype for spec in outputs], stateful=False)
        for tensor, spec in zip(computed, outputs, strict=True):
            tensor.set_shape(spec.shape)
        return list(computed)

    merge_calls = tf.nondifferentiable_batch_function(
        num_batch_threads=parameters.num_batch_threads,
        max_batch_size=parameters.max_batch_size,
        batch_timeout_micros=parameters.batch_timeout_micros,
        allowed_batch_sizes=list(parameters.allowed_batch_sizes) or None,
        max_enqueued_batches=parameters.max_enqueued_batches,
        enable_large_batch_splitting=False,
        autograph=False,
    )
    with tf.Graph().as_default() as graph:
        placeholders = [tf.compat.v1.placeholder(spec.dtype, spec.shape) for spec in inputs]
        targets = merge_calls(compute_batch)(*placeholders)
    # Its own threads, because they wait for `infer`, which may need TensorFlow's.
    pool = config_pb2.ThreadPoolOptionProto(num_threads=parameters.num_batch_threads + 1)
    config = tf.compat.v1.ConfigProto(session_inter_op_thread_pool=[pool])
    session = tf.compat.v1.Session(graph=graph, config=config)
    batched_infer: Infer = session.make_callable(targets, placeholders)
    return batched_infer
