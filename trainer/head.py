"""Linear heads on pooled features: logistic regressions."""

import numpy as np
from sklearn.linear_model import LogisticRegression


def fit(features: np.ndarray, classes: np.ndarray, c: float) -> tuple[np.ndarray, np.ndarray]:
    """Fit a multinomial logistic regression.

    Args:
        features: float32 [N, F].
        classes: int [N]; each of 0 to C - 1 occurs.
        c: inverse strength of the L2 penalty, on standardised features.

    Returns:
        kernel float32 [F, C] and bias float32 [C] of a Dense layer on the unscaled features.
    """
    mean, deviation = features.mean(0), features.std(0) + 1e-6
    regression = LogisticRegression(C=c, max_iter=300)
    regression.fit((features - mean) / deviation, classes)
    coefficients, intercepts = regression.coef_, regression.intercept_
    if len(coefficients) == 1:  # two classes: scikit-learn returns one row
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    kernel = (coefficients / deviation).T
    return kernel.astype(np.float32), (intercepts - mean @ kernel).astype(np.float32)
