"""What a planned experiment tests: names, contrasts and functions as hypotheses on the fixed effects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.arguments import same_name
from mixfit.errors import FitError
from mixfit.inference.fixed_effects.cells import cell_space
from mixfit.inference.fixed_effects.contrasts import contrast_matrix
from mixfit.inference.fixed_effects.hypotheses import marginal_hypotheses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit

    Array = NDArray[np.float64]

__all__ = ["PlannedHypothesis", "hypotheses"]

# What stands for the tests of all terms.
_EVERY_TERM = "anova"
# Rows of L are projections, good to some 1e-14 with thousands of cells. A stated effect so much smaller than the others
# in standard errors is told from zero by no number of levels; ten times less or more decides nothing else.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class PlannedHypothesis:
    """One test.

    Attributes
    ----------
    name : str
    rows : ndarray, shape (q, p)
        L beta = 0, all rows together; none of a function.
    function : callable or None
        Of a refitted result, to a p-value, or whether it rejects.
    """

    name: str
    rows: Array
    function: Callable[[Any], Any] | None = None

    @property
    def is_contrast(self) -> bool:
        """Whether it is one number that is estimated, and so has a sign."""
        return len(self.rows) == 1

    def truth(self, fit: Fit) -> float:
        """The stated value of what is tested to be zero; NaN where that is not one number."""
        return float(self.values(fit)[0]) if self.is_contrast else np.nan

    def values(self, fit: Fit) -> Array:
        """The stated L beta, (q,): zero where it is what rounding of L leaves.

        In units of standard errors, so that those of the columns do not matter, |L beta| <= max_j |L_j| |beta|.
        """
        beta, se = fit.estimate.beta, np.sqrt(np.diag(fit.estimate.cov_beta))
        values = self.rows @ beta
        bounds = np.abs(self.rows * se).max(axis=1, initial=0.0) * np.linalg.norm(beta / se)
        return np.where(np.abs(values) <= _ROUNDING * bounds, 0.0, values)

    def holds(self, fit: Fit) -> bool:
        """Whether what is tested is true of the stated effects; not known of a function."""
        return bool(len(self.rows)) and not self.values(fit).any()


def hypotheses(fit: Fit, test: Any) -> list[PlannedHypothesis]:
    """Read `test` as the hypotheses of a model.

    Parameters
    ----------
    fit : FittedLinear or FittedGeneralized
    test : str, sequence of str, mapping, DataFrame, array_like or callable
        See `mixfit.results.power.power`.

    Returns
    -------
    list of PlannedHypothesis

    Raises
    ------
    FitError
        For a name that neither a fixed effect nor a term has, and contrasts that do not suit the model.

    Examples
    --------
    >>> import mixfit
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", mixfit.datasets.load("sleepstudy")).fit()
    >>> [(h.name, h.rows.tolist()) for h in hypotheses(fit, ["Days", "Intercept"])]
    [('Days', [[0.0, 1.0]]), ('Intercept', [[1.0, 0.0]])]
    """
    p = len(fit.estimate.beta)
    if callable(test):
        return [PlannedHypothesis(getattr(test, "__name__", "test"), np.empty((0, p)), test)]
    if isinstance(test, str):
        every = list(_terms(fit).values()) if test == _EVERY_TERM else [_named(fit, test)]
        if not every:
            raise FitError("The model has no terms but the constant: there is nothing to test.")
        return every
    if isinstance(test, pd.DataFrame):
        rows, names = contrast_matrix(fit, test)
        return [PlannedHypothesis(name, row[None]) for name, row in zip(names, rows, strict=True)]
    if isinstance(test, Sequence) and test and all(isinstance(name, str) for name in test):
        return [_named(fit, name) for name in test]
    named = isinstance(test, Mapping)
    label = " + ".join(f"{value:g} {name}" for name, value in test.items()) if named else "contrast"
    rows, _ = contrast_matrix(fit, test)
    if not rows.any():
        raise FitError("The contrast is zero: there is nothing to test.")
    return [PlannedHypothesis(label, rows)]


def _named(fit: Fit, name: str) -> PlannedHypothesis:
    names = [str(own) for own in fit.fixef.index]
    own = "Intercept" if name == "(Intercept)" else same_name(name, names)
    if own in names:
        return PlannedHypothesis(name, np.eye(len(names))[[names.index(own)]])
    terms = _terms(fit)
    if name not in terms:
        raise FitError(
            f"test= names {name!r}. The model has the fixed effects {', '.join(map(repr, names))} and the terms "
            f"{', '.join(map(repr, terms)) or 'none'}; {_EVERY_TERM!r} stands for all terms."
        )
    return terms[name]


def _terms(fit: Fit) -> dict[str, PlannedHypothesis]:
    """The hypotheses of type III of the terms with columns that are not aliased."""
    model = fit.model
    structure = model.design.fixed
    if structure is None:
        return {}
    found = marginal_hypotheses(structure, cell_space(structure, model.design.X, model.kept))
    return {name: PlannedHypothesis(name, rows) for name, rows in found.items() if len(rows)}
