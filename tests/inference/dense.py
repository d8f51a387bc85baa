"""The ML deviance of a model with one random term, at natural parameters and in dense matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_factor, cho_solve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]


def deviance(design: Design, values: Array) -> float:
    """-2 log-likelihood at (sd_1, sd_2, rho, sigma, beta) of a model ``y ~ x + (x | g)``."""
    sd, rho, sigma, beta = values[:2], values[2], values[3], values[4:]
    (term,) = design.random
    covariance = np.outer(sd, sd) * np.array([[1.0, rho], [rho, 1.0]])
    same = term.grouping.codes[:, None] == term.grouping.codes
    v = np.where(same, term.Z @ covariance @ term.Z.T, 0.0) + sigma**2 * np.eye(len(design.y))
    low = cho_factor(v, lower=True)
    e = design.y - design.X @ beta
    log_determinant = 2.0 * np.log(np.diag(low[0])).sum()
    return float(len(e) * np.log(2.0 * np.pi) + log_determinant + e @ cho_solve(low, e))
