"""Named linear functions of the fixed effects, their estimates, and the scale that they are shown on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.brief import brief
from mixfit.errors import FitError
from mixfit.inference.means.multiplicity import ComparisonFamily, adjusted_p_values, critical_values, resolve
from mixfit.matrices.transformation import Transformation

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.families.links import Link
    from mixfit.fitted.protocols import Fit
    from mixfit.inference.means.alternative import Alternative

    Array = NDArray[np.float64]
    Groups = list[NDArray[np.intp]]

__all__ = [
    "Estimates",
    "MeanParameters",
    "ResponseScale",
    "adjust_tests",
    "by_groups",
    "evaluate",
    "intervals",
    "scale_of",
]

_RATIOS = {"logit": ("odds.ratio", "log odds ratio"), "log": ("ratio", "log")}


@dataclass(frozen=True, eq=False)
class ResponseScale:
    """How linear functions are shown: under a generalized model's link, or the transformation of a response.

    Attributes
    ----------
    link : Link or Transformation, or None
        None where the linear predictor is the mean of what was measured.
    mean : str
        What a mean on the scale of the response is called.
    response : bool
        Whether that scale is asked for.
    written : str, or None
        The response where it is an expression that is not gone back from.
    """

    link: Link | Transformation | None
    mean: str
    response: bool
    written: str | None = None

    @property
    def transforms(self) -> bool:
        """Whether means are shown through the inverse link."""
        return self.response and self.link is not None

    @property
    def shown(self) -> str:
        """What means are called on the scale that they are shown on."""
        return self.mean if self.link is None or self.response else "emmean"

    @property
    def ratio(self) -> str | None:
        """Name of a contrast's antilogarithm, where the link makes it a ratio."""
        if isinstance(self.link, Transformation):
            return None if self.link.log_base is None else "ratio"
        return _RATIOS[self.link.name][0] if self.link is not None and self.link.name in _RATIOS else None

    @property
    def log_base(self) -> float:
        """Logarithm of the base that contrasts are logarithms to."""
        base = self.link.log_base if isinstance(self.link, Transformation) else None
        return 1.0 if base is None else base

    @property
    def contrast(self) -> str:
        """What contrasts on the scale of the link are called."""
        if isinstance(self.link, Transformation):
            return self.link.name
        name = "" if self.link is None else self.link.name
        return _RATIOS[name][1] if name in _RATIOS else name


def scale_of(fit: Fit, kind: str) -> ResponseScale:
    """The scale of a fit's marginal means, `kind` being "link" or "response".

    Raises
    ------
    FitError
        For another `kind`, and where the way back from a transformed response is not known.
    """
    if kind not in ("link", "response"):
        raise FitError(f"type is 'link' or 'response', not {kind!r}.")
    family = getattr(fit.model, "family", None)
    transformation, response = fit.model.design.transformation, kind == "response"
    if family is None and transformation is not None:
        if response:
            transformation.require_inverse()
        return ResponseScale(transformation, "response", response)
    written = None if transformation is None else transformation.text
    if family is None or family.link.name == "identity":
        return ResponseScale(None, "emmean", response, written)
    return ResponseScale(family.link, family.mean_name, response, written)


@dataclass(frozen=True, eq=False)
class Estimates:
    """Estimates of linear functions on the scale of the linear predictor.

    Attributes
    ----------
    estimate, se, df : ndarray, shape (q,)
        NaN where a function cannot be estimated.
    """

    estimate: Array
    se: Array
    df: Array

    __repr__ = brief


@dataclass(frozen=True, eq=False)
class MeanParameters:
    """Means that are no linear functions of coefficients, on the scale of the link, with their covariance.

    Attributes
    ----------
    estimate : ndarray, shape (m,)
        NaN where a mean cannot be estimated.
    cov : ndarray, shape (m, m)
    note : str
        What means they are.
    """

    estimate: Array
    cov: Array
    note: str

    __repr__ = brief

    def evaluate(self, L: Array) -> Estimates:
        """Estimate functions L (q, m) of the means, with the normal distribution."""
        known = ~np.isnan(self.estimate)
        possible = (L[:, ~known] == 0.0).all(axis=1)
        L = np.where(possible[:, None], L, np.nan)[:, known]
        with np.errstate(invalid="ignore"):
            se = np.sqrt(np.maximum(np.einsum("ij,ij->i", L @ self.cov[np.ix_(known, known)], L), 0.0))
        return Estimates(L @ self.estimate[known], se, np.full(len(L), np.inf))


def evaluate(fit: Fit, L: Array, offset: Array, ddf: str) -> Estimates:
    """Estimate L beta + offset.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    L : ndarray, shape (q, c)
        Over all columns of the design, aliased ones included.
    offset : ndarray, shape (q,)
    ddf : str
        As `contrast_tests` takes it.
    """
    from mixfit.inference.fixed_effects.contrasts import contrast_tests

    kept = fit.model.kept
    possible = fit.model.row_space.contains(L)
    estimate = np.where(possible, offset, np.nan)
    se = np.where(possible, 0.0, np.nan)
    df = np.full(len(L), np.nan)
    # a function of no coefficient is known, and has no degrees of freedom
    uncertain = possible & (L[:, kept] != 0.0).any(axis=1)
    if uncertain.any():
        tests = contrast_tests(fit, L[uncertain][:, kept], ddf)
        estimate[uncertain] += tests.estimate
        se[uncertain], df[uncertain] = tests.se, tests.df
    return Estimates(estimate, se, df)


def by_groups(names: pd.DataFrame, by: Sequence[str]) -> Groups:
    """Positions of the rows of each combination of the `by` columns, in order of appearance."""
    if not by:
        return [np.arange(len(names))]
    codes = names.groupby(list(by), sort=False, observed=True).ngroup().to_numpy()
    return [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]


def adjust_tests(
    estimates: Estimates, groups: Groups, families: Sequence[ComparisonFamily], adjust: str, of: Alternative
) -> tuple[Array, Array, tuple[str, ...]]:
    """Ratios to standard errors, their adjusted p-values, and what was done about several tests."""
    statistics, sided = of.statistics(estimates.estimate, estimates.se), of.tail != 0
    p = np.full(len(statistics), np.nan)
    for rows, family in zip(groups, families, strict=True):
        applied, _ = resolve(adjust, family, sided=sided)
        p[rows] = adjusted_p_values(statistics[rows], estimates.df[rows], applied, family, of.tail)
    return statistics, p, _said("P value adjustment", adjust, families, sided=sided)


def intervals(
    estimates: Estimates, groups: Groups, families: Sequence[ComparisonFamily], adjust: str, level: float
) -> tuple[Array, Array, tuple[str, ...]]:
    """Limits of confidence intervals, and what was done about several of them."""
    half = np.full(len(estimates.se), np.nan)
    for rows, family in zip(groups, families, strict=True):
        applied, _ = resolve(adjust, family, intervals=True)
        half[rows] = critical_values(estimates.df[rows], applied, family, level) * estimates.se[rows]
    notes = _said("Conf-level adjustment", adjust, families, intervals=True)
    return estimates.estimate - half, estimates.estimate + half, notes


def _said(
    what: str, adjust: str, families: Sequence[ComparisonFamily], *, intervals: bool = False, sided: bool = False
) -> tuple[str, ...]:
    family = max(families, key=lambda f: f.size)
    applied, notes = resolve(adjust, family, intervals=intervals, sided=sided)
    if applied == "none":
        return notes
    if applied == "tukey":
        extent = f"comparing a family of {family.means} estimates"
        return (*notes, f"{what}: tukey method for {extent}")
    if applied == "scheffe":
        return (*notes, f"{what}: scheffe method with rank {np.linalg.matrix_rank(family.correlation)}")
    return (*notes, f"{what}: {applied} method for {family.size} {'estimates' if intervals else 'tests'}")
