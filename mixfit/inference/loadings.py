"""Loadings of a term's columns on the factors of a covariance of reduced rank: factor analysis, and ordination."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from mixfit.covariance.reduced_rank import trapezoid
from mixfit.errors import FitError
from mixfit.fitted.varcorr import term_order, unique_names
from mixfit.tables.layout import lay_out
from mixfit.tables.numbers import fixed_decimals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit

    Array = NDArray[np.float64]

__all__ = ["Loadings", "loadings"]

# Singular values of a covariance's factor, over the largest, that are none.
_NOTHING = 1e-8
_DECIMALS = 3


@dataclass(frozen=True, eq=False)
class Loadings:
    """Sigma = L L': loadings L of one term.

    Attributes
    ----------
    group : str
    loadings : DataFrame, shape (k, d)
        In the units of the response (of the linear predictor), a column a factor.
    scores : DataFrame, shape (q, d)
        Conditional modes of the factors, of variance one, a row a level: the effects are ``scores @ loadings.T``.
    explained : Series, shape (d,)
        Share of each factor in the variance of the columns' effects together.
    """

    group: str
    loadings: pd.DataFrame
    scores: pd.DataFrame
    explained: pd.Series[float]

    def __str__(self) -> str:
        table = [*self.loadings.to_numpy().tolist(), self.explained.tolist()]
        columns = [fixed_decimals(list(column), _DECIMALS) for column in zip(*table, strict=True)]
        names = [*self.loadings.index, "(share of the variance)"]
        header = list(self.loadings.columns)
        rows = list(zip(*columns, strict=True))
        return f"Loadings of the effects of {self.group}\n" + lay_out(header, rows, names, right=True)

    __repr__ = __str__


def loadings(
    fit: Fit, group: str | None = None, *, rotation: Literal["principal", "triangular"] = "principal"
) -> Loadings:
    """Return the loadings of a random term's columns, with the scores of its levels.

    Parameters
    ----------
    group : str, optional
        Name of the term as `varcorr` shows it; by default the one term of reduced rank, or of several columns.
    rotation : {"principal", "triangular"}
        Orthogonal factors of decreasing variance, each with its largest loading positive; or glmmTMB's, where the
        first column loads on the first factor alone, the second on the first two, and so on.

    Returns
    -------
    Loadings

    Raises
    ------
    FitError
        For a name that no term has, or where several terms could be meant.

    Examples
    --------
    >>> import mixfit
    >>> cake = mixfit.datasets.load("cake")
    >>> fit = mixfit.mixed("angle ~ recipe + temp + rr(0 + recipe | replicate, d=1)", cake).fit()
    >>> fit.loadings()
    Loadings of the effects of replicate
                            Factor 1
    recipe[A]                  4.854
    recipe[B]                  6.761
    recipe[C]                  7.174
    (share of the variance)    1.000
    """
    random, order = fit.model.design.random, term_order(fit.model.design.random)
    names = dict(zip(unique_names(random[t].grouping.name for t in order), order, strict=True))
    if group is None:
        wide = [name for name, t in names.items() if random[t].structure.rank < random[t].structure.k]
        wide = wide or [name for name, t in names.items() if len(random[t].columns) > 1]
        if len(wide) != 1:
            raise FitError(f"loadings(group=...) says of which term: one of {', '.join(names)}.")
        (group,) = wide
    if group not in names:
        raise FitError(f"The fit has no term {group!r}, but {', '.join(names)}.")
    t = names[group]
    factor = _rotated(fit.estimate.unit * fit.estimate.templates[t], rotation)
    labels = [f"Factor {i + 1}" for i in range(factor.shape[1])]
    total = float(np.vdot(factor, factor))
    return Loadings(
        group,
        pd.DataFrame(factor, index=list(random[t].columns), columns=labels),
        pd.DataFrame(fit.estimate.modes[t] @ np.linalg.pinv(factor).T, index=random[t].grouping.levels, columns=labels),
        pd.Series(np.einsum("kd,kd->d", factor, factor) / total if total else np.nan, index=labels),
    )


def _rotated(template: Array, rotation: Literal["principal", "triangular"]) -> Array:
    """A factor (k, d) of T T' of rank d."""
    left, values, _ = np.linalg.svd(template)
    kept = values > _NOTHING * max(values[0], np.finfo(float).tiny)
    factor = np.asarray(left[:, kept] * values[kept])
    if rotation == "triangular":
        return trapezoid(factor)
    largest = np.abs(factor).argmax(axis=0)
    return factor * np.where(factor[largest, np.arange(factor.shape[1])] < 0.0, -1.0, 1.0)
