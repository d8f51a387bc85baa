"""Residuals of Gaussian models on their three scales."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ResidualKind", "scale_residuals"]

ResidualKind = Literal["response", "pearson", "scaled"]


def scale_residuals(
    response: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    sigma: float,
    kind: ResidualKind = "response",
) -> NDArray[np.float64]:
    """Bring response residuals to another scale, as lme4's ``residuals(m, type, scaled)``.

    Parameters
    ----------
    response : ndarray, shape (n,)
        ``y`` less fitted values, in units of the response.
    weights : ndarray, shape (n,), or None
        Prior weights.
    sigma : float
        Residual standard deviation of an observation of weight 1.
    kind : {"response", "pearson", "scaled"}
        As they are; times ``sqrt(weights)``; that divided by `sigma`.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    ValueError
        For another `kind`.

    Examples
    --------
    >>> scale_residuals(np.array([1.0, -2.0]), np.array([4.0, 1.0]), 2.0, "scaled").tolist()
    [1.0, -1.0]
    """
    if kind == "response":
        return response
    if kind not in ("pearson", "scaled"):
        msg = f"residuals are 'response', 'pearson' or 'scaled', not {kind!r}"
        raise ValueError(msg)
    pearson = response if weights is None else np.sqrt(weights) * response
    return pearson if kind == "pearson" else pearson / sigma
