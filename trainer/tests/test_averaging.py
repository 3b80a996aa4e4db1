from pathlib import Path

import keras
import numpy as np
from averaging import WeightAverage


def kernel_of(model: keras.Model) -> float:
    return float(model.layers[-1].kernel[0, 0])


def test_average_of_the_weights_over_the_steps(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    average = WeightAverage(model, momentum=0.5)
    expected = kernel_of(model)
    for value, share in ((3.0, 0.5), (5.0, 0.5)):
        model.set_weights([np.array([[value]])])
        average.on_train_batch_end(0)
        expected += share * (value - expected)
    with average.in_model():
        assert np.isclose(kernel_of(model), expected)
    assert kernel_of(model) == 5.0
    average.save(tmp_path / "average.npz")
    restored = WeightAverage(model, momentum=0.5)
    restored.load(tmp_path / "average.npz")
    with restored.in_model():
        assert np.isclose(kernel_of(model), expected)


def test_the_first_steps_count_more() -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[0.0]])])
    average = WeightAverage(model, momentum=0.999)
    model.set_weights([np.array([[1.0]])])
    for _ in range(20):
        average.on_train_batch_end(0)
    with average.in_model():
        assert 0.5 < kernel_of(model) < 1  # 0.02 with the momentum alone
