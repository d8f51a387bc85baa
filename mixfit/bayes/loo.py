r"""Leave-one-out predictive densities of a linear model, exact given the covariance parameters.

Given theta and sigma, row i has the mean eta_i and the leverage h_i = Var(eta_i | y) w_i / sigma^2, and without it

    y_i | y_(-i), theta, sigma ~ N(y_i - e_i / (1 - h_i), sigma^2 / w_i / (1 - h_i)),     e_i = y_i - eta_i.

The density without row i is the harmonic mean of these over the posterior, with Pareto-smoothed weights (Vehtari,
Gelman & Gabry 2017, Statistics and Computing 27, 1413-1432): weights of a few parameters, where those of a sampler that
draws the effects too depend on all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.bayes.collapsed import CollapsedPosterior
from mixfit.bayes.pareto import LIMIT, smoothed
from mixfit.errors import FitError
from mixfit.fitted.protocols import is_linear

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.bayes.draws import PosteriorDraws

    Array = NDArray[np.float64]

__all__ = ["Loo", "loo"]


@dataclass(frozen=True, eq=False)
class Loo:
    """Expected log predictive densities.

    Attributes
    ----------
    elpd : float
        Sum over the rows.
    se : float
        Its standard error, as that of a sum of independent rows.
    p : float
        Effective number of parameters: what the log density of all rows at the posterior loses.
    rows : DataFrame
        ``elpd`` and ``k_hat`` of every row.

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
        return (
            f"elpd {self.elpd:.1f} (SE {self.se:.1f}), {self.p:.1f} effective parameters, largest k-hat "
            f"{self.rows['k_hat'].max():.2f}"
        )

    @property
    def serves(self) -> bool:
        """Whether the weights of every row do: k-hat up to 0.7."""
        return bool((self.rows["k_hat"] <= LIMIT).all())


def loo(posterior: PosteriorDraws) -> Loo:
    """Return the expected log predictive density of each row, left out one by one.

    Returns
    -------
    Loo
        It prints its sum, and has a frame of rows.

    Raises
    ------
    FitError
        For generalized models, and designs too large for dense products.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> slopes = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit().sample(seed=1).loo()
    >>> same = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit().sample(seed=1).loo()
    >>> bool(slopes.elpd - same.elpd > 20)
    True
    """
    fit = posterior.fit
    if not is_linear(fit):
        raise FitError("loo is for linear models: the effects of generalized ones are not integrated out.")
    density = CollapsedPosterior(fit, posterior.priors)
    x = posterior.kept.x.reshape(-1, density.size)
    without, with_all = density.row_densities(x)
    elpd, k = np.empty(without.shape[1]), np.empty(without.shape[1])
    for i, own in enumerate(without.T):
        weight, k[i] = smoothed(-own)
        elpd[i] = _log_mean(own + weight + np.log(len(own)))
    every = np.log(np.exp(with_all - with_all.max(axis=0)).mean(axis=0)) + with_all.max(axis=0)
    rows = pd.DataFrame({"elpd": elpd, "k_hat": k}, index=fit.model.design.index)
    se = float(np.sqrt(len(elpd) * elpd.var(ddof=1)))
    return Loo(float(elpd.sum()), se, float((every - elpd).sum()), rows)


def _log_mean(values: Array) -> float:
    top = values.max()
    return float(np.log(np.exp(values - top).mean()) + top)
