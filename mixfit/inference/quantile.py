"""Quantile residuals from simulated responses, and what they test, as DHARMa defines them.

The residual of an observation is its place among the responses that the fitted model draws for it: uniform on
(0, 1) whatever the distribution, were the model true. Among ties (counts, 0/1) the place is drawn at random
(Smith 1985; Dunn & Smyth 1996, J. Comput. Graph. Stat. 5), and so it is above the time at which a row is censored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.arguments import check_count
from mixfit.errors import FitError
from mixfit.families.several import ZERO
from mixfit.fitted.draws import draw_rows
from mixfit.fitted.protocols import is_generalized, is_nonlinear
from mixfit.inference.predictors import refuse_unordered
from mixfit.matrices.censored import n_censored
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.fitted.re_form import ReForm

    Array = NDArray[np.float64]

__all__ = ["SimulatedPlaces", "compare", "quantile_residuals", "residual_tests", "tested_residuals"]

# 160 MB an array.
_CELLS_AT_ONCE = 20_000_000


@dataclass(frozen=True, eq=False)
class SimulatedPlaces:
    """Where the responses lie among n simulated ones.

    Attributes
    ----------
    below, not_above : ndarray, shape (nobs,)
        Shares of the simulated responses that are less than the observed one, and at most it.
    spread : ndarray, shape (n,)
        Variance of each simulated response about the expected one.
    zeros : ndarray, shape (n,)
        Zeros in each simulated response.
    """

    below: Array
    not_above: Array
    spread: Array
    zeros: Array

    def residuals(self, rng: np.random.Generator) -> Array:
        """A uniform draw between the two shares where they differ."""
        return self.below + (self.not_above - self.below) * rng.random(len(self.below))


def compare(draw: Callable[[int], Array], y: Array, expected: Array, n: int) -> SimulatedPlaces:
    """Simulate and compare, many replicates at a time.

    Parameters
    ----------
    draw : callable
        ``draw(m)`` gives m replicates, shape (nobs, m).
    y, expected : ndarray, shape (nobs,)
    n : int
        Number of replicates.

    Returns
    -------
    SimulatedPlaces

    Examples
    --------
    >>> places = compare(lambda m: np.ones((2, m)), np.array([1.0, 2.0]), np.zeros(2), 4)
    >>> places.below.tolist(), places.not_above.tolist()
    ([0.0, 1.0], [1.0, 1.0])
    """
    below, not_above = np.zeros(len(y)), np.zeros(len(y))
    spread, zeros = np.empty(n), np.empty(n)
    step = max(1, _CELLS_AT_ONCE // len(y))
    for start in range(0, n, step):
        part = slice(start, min(start + step, n))
        simulated = draw(part.stop - part.start)
        below += np.count_nonzero(simulated < y[:, None], axis=1)
        not_above += np.count_nonzero(simulated <= y[:, None], axis=1)
        spread[part] = np.var(simulated - expected[:, None], axis=0, ddof=1)
        zeros[part] = np.count_nonzero(simulated == 0.0, axis=0)
    return SimulatedPlaces(below / n, not_above / n, spread, zeros)


@dataclass(frozen=True, eq=False)
class _Response:
    """Observed and expected response, successes for proportions: whole numbers tie exactly."""

    y: Array
    expected: Array
    whole: bool
    zeros: bool
    later: NDArray[np.bool_] | None
    draw: Callable[[int], Array]


def _response(fit: Fit, re_form: ReForm, rng: np.random.Generator) -> _Response:

    family = fit.model.family if is_generalized(fit) else None
    # Of ordered categories the mean of their numbers.
    asked = {"what": "mean"} if family is not None and family.kind == "ordinal" else {}
    y, expected = fit.model.observations.y, np.asarray(fit.predict(re_form=re_form, **asked), dtype=float)
    whole = family is not None and family.support.whole
    trials = np.ones(len(y))
    if family is not None and family.kind == "proportion" and fit.model.design.weights is not None:
        trials = fit.model.design.weights

    def draw(m: int) -> Array:
        if is_nonlinear(fit):
            return fit.simulate(m, seed=rng, re_form=re_form).to_numpy()
        simulated = draw_rows(fit, m, re_form, rng)
        return np.round(simulated * trials[:, None]) if whole else simulated

    # Zeros of other than whole responses have a probability of their own where the family or zi= gives them one.
    zeros = whole or (is_generalized(fit) and (fit.model.family.has_zero or ZERO in fit.estimate.further))
    if n_censored(fit.model.design):
        return _Response(np.abs(y), expected, whole, zeros, y < 0.0, draw)
    return _Response(np.round(y * trials) if whole else y, expected * trials, whole, zeros, None, draw)


def _places(fit: Fit, n: int, re_form: ReForm, rng: np.random.Generator) -> tuple[_Response, SimulatedPlaces]:
    check_count("n", n)
    refuse_unordered(fit, "Quantile residuals")
    if n < 2:
        raise FitError(f"quantile residuals need at least 2 simulated responses, not {n}")
    response = _response(fit, re_form, rng)
    places = compare(response.draw, response.y, response.expected, n)
    if response.later is not None:
        # The event of a censored row lies anywhere among the times after its own.
        places = replace(places, not_above=np.where(response.later, 1.0, places.not_above))
    return response, places


def quantile_residuals(
    fit: Fit, n: int = 250, *, seed: int | np.random.Generator | None = None, re_form: ReForm = "population"
) -> pd.Series[float]:
    """Return scaled residuals from simulations, as DHARMa's ``simulateResiduals``.

    The share of simulated responses that lie below the observed one; where some are equal to it (counts,
    0/1 responses), a uniform draw between the shares below and not above it. Were the model true, they would
    be uniform on (0, 1), whatever its family.

    Parameters
    ----------
    n : int
        Number of simulated responses.
    seed : int, Generator or None
        As ``numpy.random.default_rng`` takes it.
    re_form : None, str, False or sequence of str
        Random terms to hold at their modes. By default all are drawn anew, as in DHARMa up to 0.4
        ("unconditional"); None holds all ("conditional", the default of DHARMa from 0.5 on).

    Returns
    -------
    Series, shape (nobs,)

    Raises
    ------
    FitError
        Where `n` is less than 2.

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
    >>> bool(fit.quantile_residuals(seed=1).between(0, 1).all())
    True
    """
    rng = np.random.default_rng(seed)
    values = _places(fit, n, re_form, rng)[1].residuals(rng)
    return pd.Series(values, index=fit.model.observations.index)


def residual_tests(
    fit: Fit, n: int = 250, *, seed: int | np.random.Generator | None = None, re_form: ReForm = "population"
) -> Table:
    """Test quantile residuals: uniformity, dispersion, outliers and, where they have a probability, zeros, as DHARMa.

    Parameters
    ----------
    n, seed, re_form
        As of `quantile_residuals`.

    Returns
    -------
    Table
        Columns ``statistic`` and ``p.value``. Uniformity: Kolmogorov-Smirnov. Dispersion: variance of the
        responses about their prediction over the mean of the simulated ones'. Outliers: residuals within
        1 / (n + 1) of 0 or 1, a binomial test, approximate for whole responses. Zeros: their number over the
        mean of the simulated ones'.

    Examples
    --------
    >>> import mixfit
    >>> herds = mixfit.datasets.load("cbpp")
    >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
    >>> fit.residual_tests(seed=1).to_frame().round(2)
                    statistic  p.value
    uniformity           0.10     0.63
    dispersion           1.37     0.33
    outliers             1.00     0.36
    zero inflation       1.14     0.51
    """
    return tested_residuals(fit, n, seed=seed, re_form=re_form)[1]


def tested_residuals(
    fit: Fit, n: int, *, seed: int | np.random.Generator | None, re_form: ReForm
) -> tuple[Array, Table]:
    """Quantile residuals, (nobs,), and their tests, from the same simulations."""
    from scipy.stats import binomtest, kstest

    rng = np.random.default_rng(seed)
    response, places = _places(fit, n, re_form, rng)
    residuals = places.residuals(rng)
    uniform = kstest(residuals, "uniform")
    margin = 1.0 / (n + 1)
    outliers = int(np.count_nonzero((residuals < margin) | (residuals > 1.0 - margin)))
    observed = float(np.var(response.y - response.expected, ddof=1))
    rows = {
        "uniformity": (float(uniform.statistic), float(uniform.pvalue)),
        "dispersion": _ratio(observed, places.spread),
        "outliers": (float(outliers), float(binomtest(outliers, len(residuals), 2.0 * margin).pvalue)),
    }
    if response.zeros:
        rows["zero inflation"] = _ratio(float(np.count_nonzero(response.y == 0.0)), places.zeros)
    notes: tuple[str, ...] = (
        "uniformity: Kolmogorov-Smirnov D; outliers: residuals within 1/(n + 1) of 0 or 1 (binomial test);",
        "dispersion, zero inflation: observed over mean simulated, two-sided p-values from the simulations",
    )
    if response.later is not None:
        # Times of censored rows vary as their censoring does.
        rows.pop("dispersion")
        notes = notes[:1]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["statistic", "p.value"])
    heading = (f"Tests of quantile residuals, {n} simulations",)
    return residuals, Table(frame, heading=heading, notes=notes, p_column="p.value")


def _ratio(observed: float, simulated: Array) -> tuple[float, float]:
    """Observed over mean simulated value, and twice the smaller tail."""
    tail = min(float(np.mean(simulated <= observed)), float(np.mean(simulated >= observed)))
    mean = float(np.mean(simulated))
    return observed / mean if mean else np.nan, min(2.0 * tail, 1.0)
