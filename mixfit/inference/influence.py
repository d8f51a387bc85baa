"""What the fixed effects would be without the rows of each group: DFBETA and Cook's distance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.inference.deletion import delete_groups, refits_without
from mixfit.inference.left_out import independent_rows, partition_of
from mixfit.lmm.working import leverages
from mixfit.matrices.across import refuse_given, refuse_related
from mixfit.tables.layout import shown
from mixfit.tables.table import Table
from mixfit.wald import are_free

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from mixfit.fitted.protocols import Fit

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

# What a screen holds.
_SHOWN = 20

__all__ = [
    "Influence",
    "cooks_distance",
    "cooks_distances",
    "dfbeta",
    "hatvalues",
    "influence",
]


@dataclass(frozen=True, eq=False)
class Influence:
    """Estimates without each group, as lme4's ``influence(model, groups=)``.

    Attributes
    ----------
    by : str
        What was left out: ``"observation"`` or the name of a grouping factor.
    refit : bool
        Whether theta was estimated anew without each group, or held (one-step).
    nobs : Series, shape (q,)
        Rows of each group.
    dfbeta : DataFrame, shape (q, p)
        Fixed effects without the group less those of all rows. NaN where the remaining rows do not determine them.
    dfbetas : DataFrame, shape (q, p)
        `dfbeta` over the standard errors without the group.
    cooks : Series, shape (q,)
        ``dfbeta' Cov^-1 dfbeta / p`` with the covariance of the fixed effects from all rows, as `cooks_distance`
        defines it for groups.
    sigma : Series, shape (q,)
        Residual standard deviation without the group.
    theta : DataFrame, shape (q, m), or None
        Without the group, in the order of the fit's ``theta``; None where it was held.
    converged : Series of bool, shape (q,), or None
        Whether each refit has its optimality certificate; None where there were none.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> influence = fit.influence("Subject")
    >>> influence.cooks.nlargest(2).round(3).to_dict()
    {'309': 0.149, '335': 0.129}
    """

    by: str
    refit: bool
    nobs: pd.Series[int]
    dfbeta: pd.DataFrame
    dfbetas: pd.DataFrame
    cooks: pd.Series[float]
    sigma: pd.Series[float]
    theta: pd.DataFrame | None
    converged: pd.Series[bool] | None

    def table(self) -> Table:
        """Return the rows, Cook's distance and DFBETAS of every group, largest distance first.

        Returns
        -------
        Table
            Columns ``nobs``, ``Cook's D`` and the name of each fixed effect, whose DFBETAS stand there.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> fit.influence("Subject").table().to_frame().head(2).round(3)
             nobs  Cook's D  (Intercept)   Days
        309    10     0.149        0.384  0.300
        335    10     0.129       -0.096  0.488
        """
        frame = pd.DataFrame({"nobs": self.nobs, "Cook's D": self.cooks})
        for name in self.dfbetas:
            frame[shown(str(name))] = self.dfbetas[name]
        how = "theta estimated anew" if self.refit else "theta held"
        heading = f"Influence of each {self.by} left out ({how}); the fixed effects' columns are DFBETAS"
        return Table(frame.sort_values("Cook's D", ascending=False), heading=(heading,))

    def to_frame(self) -> pd.DataFrame:
        """Return the frame of `table`.

        Returns
        -------
        DataFrame

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> fit.influence("Subject").to_frame().index[:2].tolist()
        ['309', '335']
        """
        return self.table().to_frame()

    def _top(self) -> Table:
        """The first rows of the table, as many as a screen holds."""
        table = self.table()
        if len(table) <= _SHOWN:
            return table
        note = f"... and {len(table) - _SHOWN} more: all of them are in .table()"
        return replace(table, frame=table.frame.head(_SHOWN), notes=(note,))

    def __str__(self) -> str:
        return str(self._top())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._top().as_html()


def influence(fit: Fit, by: str | ArrayLike, *, refit: bool = False) -> Influence:
    """Leave out each group of rows in turn, as lme4's ``influence(model, groups=)``.

    Parameters
    ----------
    by : str or array_like, shape (nobs,)
        A grouping factor, ``"observation"``, or a label for every row used: any partition of the rows.
    refit : bool
        Whether the model is estimated anew without each group. By default theta is held: then the fixed
        effects without a group are exactly those of generalized least squares on the other rows, for all
        groups from one factorization. For a generalized model that is one step of the working linear model
        at the modes, the working weights held too.

    Returns
    -------
    Influence
        Frames of DFBETA and DFBETAS, Cook's distances and sigma; with `refit` theta and convergence.

    Raises
    ------
    DataError
        For a `by` that is no grouping factor.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.influence("Subject").dfbeta.shape
    (18, 2)
    """
    name, codes, labels = partition_of(fit, by)
    names = list(fit.fixef.index)
    q = len(labels)
    theta = converged = None
    if refit:
        dfbeta, errors, sigma, thetas, settled = refits_without(fit, codes, q)
        theta = pd.DataFrame(thetas[:, fit.model.theta_order], index=labels)
        converged = pd.Series(settled, index=labels)
    else:
        refuse_related(fit.model.design.random, "influence without refits")
        refuse_given(fit.model.design.random, "influence without refits")
        deleted = delete_groups(independent_rows(fit, codes), codes, q)
        dfbeta, errors, sigma = deleted.dfbeta, deleted.errors, deleted.sigma
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = dfbeta / errors
    return Influence(
        by=name,
        refit=refit,
        nobs=pd.Series(np.bincount(codes, minlength=q), index=labels),
        dfbeta=pd.DataFrame(dfbeta, index=labels, columns=names),
        dfbetas=pd.DataFrame(scaled, index=labels, columns=names),
        cooks=pd.Series(_distances(dfbeta, fit.estimate.cov_beta), index=labels),
        sigma=pd.Series(sigma, index=labels),
        theta=theta,
        converged=converged,
    )


def _distances(dfbeta: Array, covariance: Array) -> Array:
    """D = dfbeta' Cov^{-1} dfbeta / p of every row, p effects that are not held; NaN without any."""
    free = are_free(covariance)
    covariance, dfbeta = covariance[np.ix_(free, free)], dfbeta[:, free]
    if not len(covariance):
        return np.full(len(dfbeta), np.nan)
    half = np.linalg.solve(np.linalg.cholesky(covariance), dfbeta.T)
    return np.einsum("pg,pg->g", half, half) / len(covariance)


def cooks_distances(scaled: Array, leverages: Array, p: int) -> Array:
    """Cook's distance of every observation, from its residual and leverage.

    ``(r / (1 - h))**2 h / p`` with r the Pearson residual over sigma, as lme4's ``cooks.distance``.

    Parameters
    ----------
    scaled : ndarray, shape (n,)
        Pearson residuals over sigma.
    leverages : ndarray, shape (n,)
    p : int
        Number of fixed effects.

    Returns
    -------
    ndarray, shape (n,)
        NaN where the leverage is 1.

    Examples
    --------
    >>> cooks_distances(np.array([1.0]), np.array([0.5]), 2).tolist()
    [1.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = (scaled / (1.0 - leverages)) ** 2 * leverages / p
    return np.where(np.isfinite(distance), distance, np.nan)


def hatvalues(fit: Fit) -> pd.Series[float]:
    """Return the leverages: the diagonal of the hat matrix of the fitted values, random effects included.

    Computed at the estimated theta as lme4's ``hatvalues``, prior weights included; their sum is the
    effective number of parameters. A generalized model's are those of its last scoring step, with the
    expected weights at the conditional modes; lme4 takes the prior weights there, warns that the result
    may not make sense, and can exceed 1.

    Returns
    -------
    Series, shape (nobs,)
        Between 0 and 1.

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
    >>> fit.hatvalues().head(2).round(4).tolist()
    [0.1643, 0.1643]
    """
    rows = independent_rows(fit, np.arange(fit.nobs, dtype=np.intp))
    return pd.Series(leverages(rows), index=fit.model.observations.index)


def cooks_distance(fit: Fit, by: str | ArrayLike = "observation", *, refit: bool = False) -> pd.Series[float]:
    """Return Cook's distances of observations or of the groups of a grouping factor.

    Parameters
    ----------
    by : str or array_like, shape (nobs,)
        ``"observation"``: ``(r / (1 - h))**2 h / p`` from scaled Pearson residuals and `hatvalues`, as lme4's
        ``cooks.distance(model)``. A grouping factor (or a label for every row): the distance that the fixed
        effects move when the group's rows are left out, ``dfbeta' Cov^-1 dfbeta / p``, with the covariance of
        all rows (Cook 1977; Nieuwenhuis, te Grotenhuis & Pelzer 2012). lme4's ``cooks.distance(influence(...))``
        multiplies this by (q - p) / q for q groups.
        In both, sigma and the covariance are those of the fit, whether by REML or maximum likelihood, as lme4
        takes them: no n / (n - p) turns one into the other.
    refit : bool
        Whether the model is fitted anew without each group (or each observation, and then by the second
        formula). By default theta is held, which makes the deletion exact and immediate.

    Returns
    -------
    Series, shape (nobs,) or (q,)

    Raises
    ------
    DataError
        For a `by` that is no grouping factor.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.cooks_distance().head(2).round(4).tolist()
    [0.005, 0.0402]
    >>> fit.cooks_distance(by="Subject").idxmax()
    '309'
    """
    if isinstance(by, str) and by == "observation" and not refit:
        hat, scaled = hatvalues(fit), np.asarray(fit.residuals("scaled"), dtype=float)
        return pd.Series(cooks_distances(scaled, np.asarray(hat), len(fit.fixef)), index=hat.index)
    return influence(fit, by, refit=refit).cooks


def dfbeta(fit: Fit, by: str | ArrayLike = "observation", *, refit: bool = False) -> pd.DataFrame:
    """Return how the fixed effects move when each group is left out: those without it less those with it.

    Parameters
    ----------
    by, refit
        As of `influence`.

    Returns
    -------
    DataFrame, shape (q, p)
        The sign is that of lme4's ``dfbeta(influence(...))``.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.dfbeta("Subject").head(2).round(3)
         Intercept   Days
    308      0.424 -0.665
    309      2.726  0.483
    """
    return influence(fit, by, refit=refit).dfbeta
