r"""The widely applicable information criterion (Watanabe 2010, JMLR 11, 3571-3594).

    elpd_i = log E[p(y_i | b, beta, sigma)] - Var[log p(y_i | b, beta, sigma)]

over the posterior (Gelman, Hwang & Vehtari 2014, Statistics and Computing 24, 997-1016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.bayes.log_means import log_mean
from mixfit.bayes.row_likelihood import row_log_likelihood

if TYPE_CHECKING:
    from mixfit.bayes.draws import PosteriorDraws

__all__ = ["Waic", "waic"]

# A row whose log density varies by more than this is not to be approximated so (Vehtari, Gelman & Gabry 2017, 2.2).
_MOST_VARIANCE = 0.4


@dataclass(frozen=True, eq=False)
class Waic:
    """The criterion, and what each row has in it.

    Attributes
    ----------
    elpd : float
        Sum over the rows.
    se : float
        Its standard error, as that of a sum of independent rows.
    p : float
        Effective number of parameters: the sum of the variances.
    rows : DataFrame
        ``elpd`` and ``p`` of every row.

    Examples
    --------
    >>> import mixfit
    >>> fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff")).fit()
    >>> found = fit.sample(seed=1).waic()
    >>> round(found.elpd), found.serves
    (-164, False)
    """

    elpd: float
    se: float
    p: float
    rows: pd.DataFrame

    @property
    def waic(self) -> float:
        """-2 elpd."""
        return -2.0 * self.elpd

    @property
    def serves(self) -> bool:
        """Whether no row's log density varies by more than 0.4: `loo` is more exact elsewhere."""
        return bool((self.rows["p"] <= _MOST_VARIANCE).all())

    def __repr__(self) -> str:
        many = int((self.rows["p"] > _MOST_VARIANCE).sum())
        more = "" if self.serves else f"; {many} rows vary by more than {_MOST_VARIANCE}: see loo()"
        return f"WAIC {self.waic:.1f}, elpd {self.elpd:.1f} (SE {self.se:.1f}), {self.p:.1f} effective parameters{more}"


def waic(posterior: PosteriorDraws) -> Waic:
    """Return the widely applicable information criterion of the rows.

    Returns
    -------
    Waic
        It prints its sum, and has a frame of rows.

    Examples
    --------
    >>> import mixfit
    >>> cbpp = mixfit.datasets.load("cbpp")
    >>> model = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, family="binomial")
    >>> model.fit().sample(seed=1).waic().rows.columns.tolist()
    ['elpd', 'p']
    """
    every = row_log_likelihood(posterior)
    p = every.var(axis=0, ddof=1)
    elpd = log_mean(every) - p
    rows = pd.DataFrame({"elpd": elpd, "p": p}, index=posterior.fit.model.design.index)
    return Waic(float(elpd.sum()), float(np.sqrt(len(elpd) * elpd.var(ddof=1))), float(p.sum()), rows)
