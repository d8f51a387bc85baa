r"""Leave-one-out predictive densities, of rows or of whole groups.

The density of what is left out is the harmonic mean over the posterior of its densities given the rest, with
Pareto-smoothed weights (Vehtari, Gelman & Gabry 2017, Statistics and Computing 27, 1413-1432). What can be integrated
out first is: coefficients and effects of linear models (`mixfit.bayes.left_out`), effects of generalized ones with one
grouping factor (`mixfit.bayes.levels`). Weights are then of a few parameters, where those of draws of the effects
depend on all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.bayes.collapsed import CollapsedPosterior
from mixfit.bayes.left_out import group_densities, row_densities
from mixfit.bayes.levels import LevelPosterior, has_one_factor
from mixfit.bayes.log_means import log_mean
from mixfit.bayes.pareto import LIMIT, smoothed
from mixfit.bayes.row_likelihood import row_log_likelihood
from mixfit.errors import FitError
from mixfit.fitted.protocols import is_generalized, is_linear

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.bayes.draws import PosteriorDraws
    from mixfit.fitted.protocols import Fit, LinearFit
    from mixfit.matrices.types import Grouping

    Array = NDArray[np.float64]

__all__ = ["Loo", "loo"]

# Draws at which the integrals over effects are looked at: they reach as far as the posterior does.
_SOME = 50


@dataclass(frozen=True, eq=False)
class Loo:
    """Expected log predictive densities.

    Attributes
    ----------
    elpd : float
        Sum over the rows, or the groups.
    se : float
        Its standard error, as that of a sum of independent rows.
    p : float
        Effective number of parameters: what the log density of all rows at the posterior loses.
        Not a number where groups that are left out share levels of another factor with the rest.
    rows : DataFrame
        ``elpd`` and ``k_hat`` of every row, or of every group.

    Examples
    --------
    >>> import mixfit
    >>> fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff")).fit()
    >>> found = fit.sample(seed=1).loo()
    >>> round(found.elpd), round(found.se, 1), found.serves
    (-164, 2.6, True)
    """

    elpd: float
    se: float
    p: float
    rows: pd.DataFrame

    def __repr__(self) -> str:
        parameters = "" if np.isnan(self.p) else f"{self.p:.1f} effective parameters, "
        return f"elpd {self.elpd:.1f} (SE {self.se:.1f}), {parameters}largest k-hat {self.rows['k_hat'].max():.2f}"

    @property
    def serves(self) -> bool:
        """Whether the weights of every row do: k-hat up to 0.7."""
        return bool((self.rows["k_hat"] <= LIMIT).all())


def loo(posterior: PosteriorDraws, level: str = "row") -> Loo:
    """Return the expected log predictive density of what is left out, rows one by one or groups one by one.

    Parameters
    ----------
    level : str
        ``"row"``; ``"group"``, all rows of a level of the grouping factor together, whose random effects then have
        their prior distribution: how well somebody new is predicted; or the name of one of several grouping factors.

    Returns
    -------
    Loo
        It prints its sum, and has a frame of rows or groups.

    Raises
    ------
    FitError
        For groups of generalized models with several grouping factors, and linear designs too large for dense products.

    Notes
    -----
    Effects of generalized models with several grouping factors are not integrated out: a row's weights are those of all
    draws, and their k-hat says when they do not serve.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> slopes = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit().sample(seed=1)
    >>> same = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit().sample(seed=1)
    >>> bool(slopes.loo().elpd - same.loo().elpd > 20)
    True
    >>> len(slopes.loo("group").rows)
    18
    """
    fit = posterior.fit
    index = fit.model.design.index if level == "row" else pd.Index(_grouping(fit, level).levels)
    without, with_all = _linear(fit, posterior, level) if is_linear(fit) else _generalized(posterior, level)
    elpd, k = np.empty(without.shape[1]), np.empty(without.shape[1])
    for i, own in enumerate(without.T):
        weight, k[i] = smoothed(-own)
        elpd[i] = log_mean(own + weight + np.log(len(own)))
    rows = pd.DataFrame({"elpd": elpd, "k_hat": k}, index=index)
    se = float(np.sqrt(len(elpd) * elpd.var(ddof=1)))
    p = np.nan if with_all is None else float((log_mean(with_all) - elpd).sum())
    return Loo(float(elpd.sum()), se, p, rows)


def _linear(fit: LinearFit, posterior: PosteriorDraws, level: str) -> tuple[Array, Array | None]:
    """Log densities (S, m) of what is left out, given the rest and given all."""
    density = CollapsedPosterior(fit, posterior.priors)
    x = posterior.kept.x.reshape(-1, density.size)
    if level == "row":
        return row_densities(density, x)
    return group_densities(density, x, _grouping(fit, level).codes)


def _generalized(posterior: PosteriorDraws, level: str) -> tuple[Array, Array]:
    fit, kept = posterior.fit, posterior.kept
    if is_generalized(fit) and kept.thresholds is None and has_one_factor(fit):
        beta, x = (a.reshape(-1, a.shape[2]) for a in (kept.beta, kept.x))
        some = np.linspace(0, len(x) - 1, _SOME).astype(int)
        density = LevelPosterior(fit, posterior.priors)
        exact = density.with_enough_nodes(density.places(beta[some], x[some]))
        if exact is None:
            raise FitError("Quadrature does not give the integrals over the effects that are left out.")
        without, with_all, levels = exact.left_out(beta, x)
        return (without, with_all) if level == "row" else (levels, levels)
    if level != "row":
        raise FitError(
            f"loo(level={level!r}): {_not_integrated(posterior)} are not integrated out. level='row' leaves rows out."
        )
    every = row_log_likelihood(posterior)
    return every, every


def _not_integrated(posterior: PosteriorDraws) -> str:
    """Whose groups they are."""
    fit, design = posterior.fit, posterior.fit.model.design
    if len({r.grouping.name for r in design.random}) > 1:
        return "groups of generalized models with several grouping factors"
    if not is_generalized(fit):
        return "groups of this kind of model"
    if design.further:
        return "groups of models with zi= or dispersion="
    if fit.family.has_dispersion:
        return f"groups of the {fit.family.name} family, which has a dispersion"
    if posterior.kept.thresholds is not None:
        return "groups of models with thresholds"
    return "groups with no random column, more than three, or related levels"


def _grouping(fit: Fit, level: str) -> Grouping:
    """The grouping factor whose levels are left out."""
    factors = {r.grouping.name: r.grouping for r in fit.model.design.random}
    if level in factors:
        return factors[level]
    if level != "group":
        names = ", ".join(map(repr, ("row", "group", *factors)))
        raise FitError(f"loo(level={level!r}): what is left out is one of {names}.")
    if len(factors) > 1:
        raise FitError(f"loo(level='group'): say which of the grouping factors {', '.join(map(repr, factors))}.")
    return next(iter(factors.values()))
