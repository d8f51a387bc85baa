"""Priors of the covariance of a random term as one writes them down: of its correlations, or of it as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import PriorError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["LKJ", "Decov", "InvWishart", "Wishart"]


def _positive(name: str, **values: float) -> None:
    for key, value in values.items():
        if not (np.isfinite(value) and value > 0.0):
            raise PriorError(f"{name}: {key} is a positive number, not {value!r}.")


@dataclass(frozen=True)
class LKJ:
    """Correlation matrices with density proportional to ``det(C)**(eta - 1)``; uniform with eta = 1.

    Parameters
    ----------
    eta : float

    Examples
    --------
    >>> from mixfit.bayes import LKJ
    >>> LKJ(2)
    LKJ(eta=2)
    """

    eta: float = 1.0

    def __post_init__(self) -> None:
        _positive("LKJ", eta=self.eta)


@dataclass(frozen=True)
class Decov:
    """rstanarm's prior: the covariance as a scale, shares of the variances and correlations.

    The root mean square of the standard deviations, relative to sigma, is gamma distributed, the shares of the
    variances in their sum are Dirichlet, the correlations LKJ. (Families without a residual variance have sigma = 1.)

    Parameters
    ----------
    regularization : float
        eta of the LKJ density.
    concentration : float
        Of the symmetric Dirichlet density.
    shape, scale : float
        Of the gamma density.

    Examples
    --------
    >>> from mixfit.bayes import Decov
    >>> Decov(shape=2)
    Decov(regularization=1.0, concentration=1.0, shape=2, scale=1.0)
    """

    regularization: float = 1.0
    concentration: float = 1.0
    shape: float = 1.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        _positive(
            "Decov",
            regularization=self.regularization,
            concentration=self.concentration,
            shape=self.shape,
            scale=self.scale,
        )


@dataclass(frozen=True)
class _Whole:
    df: float | None = None
    scale: float | tuple[tuple[float, ...], ...] = 1.0
    relative: bool = False

    def matrix(self, k: int) -> Array:
        """The scale matrix of `k` columns."""
        if isinstance(self.scale, tuple):
            out = np.array(self.scale, dtype=float)
            if out.shape != (k, k) or not np.allclose(out, out.T) or np.linalg.eigvalsh(out).min() <= 0.0:
                raise PriorError(
                    f"{type(self).__name__}: a term of {k} columns has a positive definite scale of shape {(k, k)}, "
                    f"not {self.scale!r}."
                )
            return out
        if np.isinf(self.scale) and isinstance(self, Wishart):
            return np.full((k, k), np.inf)
        _positive(type(self).__name__, scale=self.scale)
        return np.eye(k) * self.scale


class Wishart(_Whole):
    """A Wishart prior of a term's covariance matrix.

    Parameters
    ----------
    df : float, optional
        Degrees of freedom, above the number of columns less 1; by default columns + 2.5, as blme has it.
    scale : float or nested tuple
        The scale matrix, or a multiple of the identity; infinite as in blme, which is no distribution.
    relative : bool
        Whether the prior is that of the covariance over sigma^2.

    Examples
    --------
    >>> from mixfit.bayes import Wishart
    >>> Wishart(4, scale=10.0).matrix(2).tolist()
    [[10.0, 0.0], [0.0, 10.0]]
    """


class InvWishart(_Whole):
    """An inverse Wishart prior of a term's covariance matrix.

    Parameters
    ----------
    df : float, optional
        Degrees of freedom, above the number of columns less 1; by default the number of columns.
    scale : float or nested tuple
        The scale matrix, or a multiple of the identity.
    relative : bool
        Whether the prior is that of the covariance over sigma^2.

    Examples
    --------
    >>> from mixfit.bayes import InvWishart
    >>> InvWishart(3, scale=((2.0, 0.0), (0.0, 1.0))).matrix(2).tolist()
    [[2.0, 0.0], [0.0, 1.0]]
    """
