r"""Whether a fitted model could have made the data: six looks at it, each with a number, a test and a sentence.

The looks are those of R's performance, ``check_model``. Residuals are given the modes of the random effects: scaled, or
made independent where the model correlates them, for linear models, and normal scores of quantile residuals for others.
A test in the thousands of rows finds what does not matter, and one in twenty finds nothing: the pictures decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtri

from mixfit.arguments import check_count
from mixfit.errors import FitError
from mixfit.fitted.protocols import is_generalized, is_linear
from mixfit.fitted.residual_covariance import is_structured
from mixfit.inference.binned import binned_frame, default_bins, is_binary, row_bins, simulated_parts
from mixfit.inference.influence import cooks_distance
from mixfit.inference.looks import (
    DOUBTFUL,
    Check,
    homogeneity,
    influence,
    linearity,
    normal_modes,
    normality,
    numbers,
    predictive,
    predictive_statistics,
    uniformity,
)
from mixfit.inference.quantile import tested_residuals
from mixfit.inference.standardized_modes import standardized_modes
from mixfit.matrices.censored import refuse_censored
from mixfit.tables.layout import shown
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit

    Array = NDArray[np.float64]

__all__ = ["ModelChecks", "model_checks"]

# Simulated responses that are kept for their picture: 80 MB of them, and at least as many as it has curves.
_KEPT_CELLS = 10_000_000
_FEWEST_KEPT = 30
# Groups that one alone can be compared with.
_FEWEST_GROUPS = 5
# Cook's distance at which leaving out a group moves the estimates to the edge of the confidence region of this level
# (Cook 1977, Technometrics 19, 15-18), by F(p, groups - p).
_STANDING_OUT = 0.5


@dataclass(frozen=True, eq=False, repr=False)
class ModelChecks:
    """Six looks at a fit, and what they look at.

    Attributes
    ----------
    description : str
        The model.
    checks : tuple of Check, length 6
        Predictive check, linearity, homogeneity, influence, normality of residuals (or uniformity of quantile
        residuals), normality of random effects.
    response, predictor : str
        What axes are called.
    y : ndarray, shape (nobs,)
    simulated : ndarray, shape (nobs, m)
        Responses drawn from the fit, random effects anew: those that are drawn, of many rows not all of them.
    whole : bool
        Whether responses are whole numbers or categories.
    fitted, residuals : ndarray, shape (nobs,)
        Fitted means of a linear model, linear predictors of others; standard normal residuals under the model.
    uniform : ndarray, shape (nobs,), or None
        Quantile residuals of a generalized model.
    binned : DataFrame or None
        Of binary responses, as ``binned_residuals`` gives them.
    by : str
        The grouping factor whose levels are left out.
    cooks : Series or None
        Cook's distance of every level; None for a model without.
    cooks_limit : float
        What stands out: the median of F(p, groups - p).
    modes : dict of str to ndarray
        Standardized modes of every random column that has variance.
    """

    description: str
    checks: tuple[Check, ...]
    response: str
    predictor: str
    y: Array = field(repr=False)
    simulated: Array = field(repr=False)
    whole: bool
    fitted: Array = field(repr=False)
    residuals: Array = field(repr=False)
    uniform: Array | None = field(repr=False)
    binned: pd.DataFrame | None = field(repr=False)
    by: str
    cooks: pd.Series[float] | None = field(repr=False)
    cooks_limit: float
    modes: dict[str, Array] = field(repr=False)

    def table(self) -> Table:
        """Return names, statistics, p-values and sentences of the looks.

        Returns
        -------
        Table
        """
        frame = pd.DataFrame(
            {
                "statistic": [c.statistic for c in self.checks],
                "value": [c.value for c in self.checks],
                "p.value": [c.p_value for c in self.checks],
            },
            index=[c.name for c in self.checks],
        )
        words = tuple(f"{'*' if c.doubtful else ' '} {c.words}" for c in self.checks)
        return Table(frame, (f"Checks of {self.description}",), words, "p.value", significance=False)

    def __str__(self) -> str:
        return self.table().as_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table().as_html()


def model_checks(fit: Fit, n: int = 250, seed: int | np.random.Generator | None = None) -> ModelChecks:
    """Look at a fit.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    n : int
        Number of simulated responses.
    seed : int, Generator or None

    Returns
    -------
    ModelChecks
    """
    check_count("n", n)
    refuse_censored(fit.model.design, "check_model()")
    rng = np.random.default_rng(seed)
    y, linear = fit.model.design.y, is_linear(fit)
    whole = is_generalized(fit) and (fit.model.family.kind in ("count", "ordinal") or is_binary(fit))
    simulated, statistics, binned = _simulations(fit, n, rng, whole=whole)
    uniform: Array | None = None
    tests: Table | None = None
    dispersion: tuple[float, float] | None = None
    if linear:
        fitted = np.asarray(fit.fittedvalues, dtype=float)
        residuals = np.asarray(fit.residuals("normalized" if is_structured(fit) else "scaled"), dtype=float)
    else:
        fitted = np.asarray(fit.estimate.eta, dtype=float)
        # Given the modes, rows of a group are about independent.
        uniform, tests = tested_residuals(fit, n, seed=rng, re_form=None)
        dispersion = numbers(tests, "dispersion")
        if dispersion[0] < 1.0:
            # Modes are fitted to the very responses, which vary less about them than new ones: new groups tell.
            dispersion = numbers(tested_residuals(fit, n, seed=rng, re_form="population")[1], "dispersion")
        # What lies beyond all n simulated responses has no finite score.
        residuals = ndtri(np.clip(uniform, 0.5 / n, 1.0 - 0.5 / n))
    by, cooks = _cooks(fit)
    limit = float("nan") if cooks is None else _influence_limit(len(fit.fixef), len(cooks))
    modes = _modes(fit)
    checks = (
        predictive(y, statistics),
        linearity(fitted, residuals, binned),
        homogeneity(fitted, residuals, dispersion, n),
        influence(by, cooks, limit),
        normality("normality of residuals", "Residuals", residuals) if tests is None else uniformity(tests),
        normal_modes(modes),
    )
    return ModelChecks(
        fit.model.description,
        checks,
        fit.model.design.endog_name,
        f"fitted {fit.model.design.endog_name}" if linear else "linear predictor",
        y,
        simulated,
        whole,
        fitted,
        residuals,
        uniform,
        binned,
        by,
        cooks,
        limit,
        modes,
    )


def _simulations(
    fit: Fit, n: int, rng: np.random.Generator, *, whole: bool
) -> tuple[Array, dict[str, Array], pd.DataFrame | None]:
    """Simulated responses that are kept, (nobs, m), statistics of all n of them, and binned residuals."""
    y = fit.model.design.y
    kept = int(np.clip(_KEPT_CELLS // len(y), _FEWEST_KEPT, n))
    looks = predictive_statistics(y, whole=whole)
    p = np.asarray(fit.predict(re_form="marginal"), dtype=float) if is_binary(fit) else None
    rows = None if p is None else row_bins(p, default_bins(len(y)))
    parts: list[Array] = []
    found: dict[str, list[Array]] = {name: [] for name in looks}
    means: list[Array] = []
    for part in simulated_parts(fit, n, rng):
        room = kept - sum(columns.shape[1] for columns in parts)
        if room > 0:
            parts.append(part[:, :room])
        for name, of in looks.items():
            found[name].append(of(part))
        if rows is not None and p is not None:
            means.append(rows.means(part - p[:, None]))
    statistics = {name: np.concatenate(values) for name, values in found.items()}
    binned = None
    if rows is not None and p is not None:
        binned = binned_frame(rows, p, y, np.concatenate(means, axis=1), 1.0 - DOUBTFUL)
    return np.concatenate(parts, axis=1), statistics, binned


def _cooks(fit: Fit) -> tuple[str, pd.Series[float] | None]:
    """Distances of the levels of the coarsest factor that has some to compare; none where rows cannot be left out."""
    factors = {term.grouping.name: term.n_groups for term in fit.model.design.random if term.spread is None}
    if not factors:
        return "group", None
    large = [name for name, q in factors.items() if q >= _FEWEST_GROUPS]
    by = min(large, key=factors.__getitem__) if large else max(factors, key=factors.__getitem__)
    try:
        distances = cooks_distance(fit, by)
    except FitError:
        # Correlated residuals, related levels, ordered categories: deletion without refits is not for these.
        return by, None
    # Of a model without fixed effects there is none.
    return by, None if distances.isna().all() else distances


def _modes(fit: Fit) -> dict[str, Array]:
    if not fit.model.design.random:
        return {}
    found = {}
    for group, frame in standardized_modes(fit).items():
        for name in frame.columns:
            values = frame[name].to_numpy(dtype=float)
            values = values[np.isfinite(values)]
            if len(values) and np.ptp(values) > 0.0:
                found[f"{shown(str(name))} | {group}"] = values
    return found


def _influence_limit(p: int, groups: int) -> float:
    from scipy.stats import f as f_distribution

    return float(f_distribution.ppf(_STANDING_OUT, p, max(groups - p, 1))) if p else float("nan")
