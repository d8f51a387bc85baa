"""What a comparison must know of a fit, whoever made it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.errors import ComparisonError
from mixfit.results.base import MixedResults
from mixfit.results.generalized import GeneralizedResults
from mixfit.results.linear import LinearResults

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.design.types import RandomDesign

    Array = NDArray[np.float64]

__all__ = ["Candidate", "candidate"]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A fit that takes part in a comparison.

    Attributes
    ----------
    name, formula : str
    data_name : str or None
    y, weights, offset : ndarray, shape (n,)
    X : ndarray, shape (n, p)
        Fixed effects without aliased columns.
    index : pandas.Index, shape (n,), or None
        Labels of the rows, where they are known.
    random : tuple of RandomDesign
    family : str
        ``"linear"``, or a family with its link.
    n_agq : int
    reml : bool
    npar : int
    llf : float
    fit : MixedResults or None
        The fit itself, where it can be refitted.
    """

    name: str
    formula: str
    data_name: str | None
    y: Array
    weights: Array
    offset: Array
    X: Array
    index: pd.Index | None
    random: tuple[RandomDesign, ...]
    family: str
    n_agq: int
    reml: bool
    npar: int
    llf: float
    fit: MixedResults | None = field(default=None, repr=False)

    @property
    def nobs(self) -> int:
        """Number of observations."""
        return len(self.y)


def candidate(name: str, fit: Any) -> Candidate:
    """Read a mixfit result, or a least-squares result of statsmodels, which has no random effects.

    Raises
    ------
    ComparisonError
        For anything else.
    """
    if isinstance(fit, MixedResults):
        return _mixed(name, fit)
    if not hasattr(fit, "model") or not hasattr(fit, "llf"):
        raise ComparisonError(f"{name} is no fit but {type(fit).__name__}: give results, such as mixed(...).fit().")
    return _least_squares(name, fit)


def _mixed(name: str, fit: MixedResults) -> Candidate:
    design = fit.model.design
    family, n_agq = "linear", 1
    if isinstance(fit, GeneralizedResults):
        family, n_agq = repr(fit.model.family), fit.estimate.n_agq
    elif not isinstance(fit, LinearResults):
        raise ComparisonError(f"{name} is of a kind that cannot be compared: {type(fit).__name__}.")
    n = len(design.y)
    return Candidate(
        name=name,
        formula=fit.model.formula_text,
        data_name=fit.model.data_name,
        y=design.y,
        weights=np.ones(n) if design.weights is None else design.weights,
        offset=np.zeros(n) if design.offset is None else design.offset,
        X=fit.model.exog,
        index=design.index,
        random=design.random,
        family=family,
        n_agq=n_agq,
        reml=fit.reml,
        npar=fit.npar,
        llf=fit.llf,
        fit=fit,
    )


def _least_squares(name: str, fit: Any) -> Candidate:
    from statsmodels.regression.linear_model import OLS, WLS

    model = fit.model
    if type(model) not in (OLS, WLS):
        raise ComparisonError(
            f"{name} is a fit of {type(model).__name__}: comparisons take fits of mixfit, and least-squares fits of "
            "statsmodels (OLS, WLS) as models without random effects."
        )
    y = np.asarray(model.endog, dtype=float)
    X = np.asarray(model.exog, dtype=float)
    text = getattr(model, "formula", None) or f"{model.endog_names} ~ {' + '.join(model.exog_names)}"
    return Candidate(
        name=name,
        formula=str(text),
        data_name=None,
        y=y,
        weights=np.broadcast_to(np.asarray(model.weights, dtype=float), y.shape),
        offset=np.zeros(len(y)),
        X=X,
        index=None,
        random=(),
        family="linear",
        n_agq=1,
        reml=False,
        npar=int(np.linalg.matrix_rank(X)) + 1,
        llf=float(fit.llf),
    )
