r"""Robust covariances of the fixed effects of linear models, and tests with their own degrees of freedom.

For a contrast l with a_c = l'M F_c'V_c F_c M l and v_c = K'X_c'F_c M l, M = KK', its robust variance sum_c x_c^2 is a
quadratic form in normal variables of covariance P_cd = delta_cd a_c - v_c'v_d, were V right. It has the mean tr P and
the variance 2 sum P_cd^2, those of a chi-square of

    nu = (sum_c a_c - |v_c|^2)^2 / (sum_c a_c^2 - 2 a_c |v_c|^2 + |sum_c v_c v_c'|^2)

degrees of freedom (Bell & McCaffrey 2002; Satterthwaite). Several contrasts together, their robust covariance brought
to mean I, have sum_st Var = q(q + 1)/eta, and the quadratic form Q is referred to F as Hotelling's T^2 of eta degrees
of freedom is: (eta - q + 1)/(eta q) Q ~ F(q, eta - q + 1) (Zhang 2012; Pustejovsky & Tipton 2018, "HTZ").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from mixfit.errors import FitError
from mixfit.fitted.protocols import is_linear
from mixfit.inference.fixed_effects.denominator import Constant, Denominator
from mixfit.inference.fixed_effects.kenward_roger import ScaledF
from mixfit.inference.robust.clusters import clusters_of
from mixfit.inference.robust.moments import EXPLAINED, cluster_moments

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from mixfit.fitted.protocols import Fit, LinearFit
    from mixfit.inference.robust.clusters import Clusters
    from mixfit.inference.robust.moments import ClusterMoments

    Array = NDArray[np.float64]

__all__ = [
    "ClusterF",
    "Kind",
    "RobustCovariance",
    "cov_params",
    "parse_kind",
    "refuse_cluster",
    "robust_covariance",
    "robust_denominator",
]

Kind = Literal["CR0", "CR1", "CR2", "CR3"]

# What sandwich::vcovCL calls the estimator that leaves out clusters.
_OTHER_NAMES = {"HC3": "CR3"}
# Of the eigenvalues of a robust covariance of unit rows: what is below has fewer clusters than contrasts.
_RANK = 1e-10


@dataclass(frozen=True, eq=False)
class RobustCovariance:
    """A covariance of the fixed effects by clusters.

    Attributes
    ----------
    kind : {"CR0", "CR1", "CR2", "CR3"}
    clusters : Clusters
    cov : ndarray, shape (p, p)
    moments : ClusterMoments
    alone : str
        A cluster that alone determines a coefficient; empty where there is none.
    """

    kind: Kind
    clusters: Clusters
    cov: Array
    moments: ClusterMoments
    alone: str = ""

    @property
    def note(self) -> str:
        """What tables of tests say of it."""
        name = self.clusters.name
        said = f"Robust standard errors, {self.kind}, by the {len(self.clusters.labels)} clusters of {name}."
        if not self.alone:
            return said
        return f"{said} {name} {self.alone} alone determines a coefficient, whose error they leave out."

    def forms(self, L: Array) -> tuple[Array, Array]:
        """F_c M l of the rows l of L (q, p): a_c of all pairs, (J, q, q), and v_c, (J, q, p)."""
        m = self.moments
        inner = L @ m.back @ m.bread
        spread = inner @ m.spread @ inner.T
        return spread, inner @ m.cross.swapaxes(1, 2) @ np.linalg.cholesky(m.bread)

    def df(self, L: Array) -> Array:
        """Degrees of freedom of every row of L (q, p) by itself; NaN for a row of zeros."""
        m = self.moments
        inner = L @ m.back @ m.bread
        a = np.einsum("qa,cab,qb->qc", inner, m.spread, inner, optimize=True)
        v = np.einsum("qa,cba,bk->qck", inner, m.cross, np.linalg.cholesky(m.bread), optimize=True)
        squares = np.einsum("qck,qck->qc", v, v)
        together = v.swapaxes(1, 2) @ v
        spread = (a**2 - 2.0 * a * squares).sum(axis=1) + np.einsum("qkl,qkl->q", together, together)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((a - squares).sum(axis=1) ** 2 / spread)

    def hotelling_df(self, L: Array) -> float:
        """Eta of independent rows L (q, p)."""
        a, v = self.forms(L)
        mean = (a - v @ v.swapaxes(1, 2)).sum(axis=0)
        half = np.linalg.inv(np.linalg.cholesky(mean))
        a, v = half @ a @ half.T, half @ v
        own = np.einsum("css->cs", a)
        squares = np.einsum("csk,csk->cs", v, v)
        pairs = v @ v.swapaxes(1, 2)
        # sum_cd P_ss,cd P_tt,cd and sum_cd P_st,cd P_ts,cd over all s, t
        outer = np.einsum("csk,ctl->stkl", v, v, optimize=True)
        alike = (own.sum(axis=1) ** 2 - 2.0 * own.sum(axis=1) * squares.sum(axis=1)).sum() + (outer**2).sum()
        crossed = (a**2 - 2.0 * a * pairs).sum() + np.einsum("stkl,stlk->", outer, outer)
        q = len(L)
        return float(q * (q + 1) / (alike + crossed))


@dataclass(frozen=True, eq=False)
class ClusterF(Denominator):
    """Degrees of freedom of a covariance by clusters."""

    robust: RobustCovariance

    def df(self, L: Array) -> Array:
        """Bell and McCaffrey's of every row of L (q, p) by itself."""
        return self.robust.df(L)

    def joint(self, rows: Array, difference: Array, variances: Array) -> ScaledF:
        """Hotelling's T^2 of rows (q, p) whose model covariance is diag(variances)."""
        q = len(rows)
        units = rows / np.sqrt(variances)[:, None]
        covariance = units @ self.cov @ units.T
        values = np.linalg.eigvalsh(covariance)
        if values[0] <= _RANK * values[-1]:
            raise FitError(
                f"{len(self.robust.clusters.labels)} clusters of {self.robust.clusters.name} do not tell {q} effects "
                "together: test fewer of them, or use the model's own covariance."
            )
        scaled = difference / np.sqrt(variances)
        statistic = float(scaled @ np.linalg.solve(covariance, scaled)) / q
        eta = self.robust.hotelling_df(units)
        ddf = eta - q + 1.0
        return ScaledF(statistic, q, ddf, ddf / eta) if ddf > 0.0 else ScaledF(statistic, q, float("nan"), 1.0)


def robust_denominator(fit: LinearFit, robust: RobustCovariance, ddf: str) -> Denominator:
    """What tests by a robust covariance need.

    Raises
    ------
    FitError
        For degrees of freedom that are those of the model's own covariance.
    """
    beta, notes = fit.estimate.beta, (robust.note,)
    if ddf == "z":
        return Constant(beta, robust.cov, robust.cov, float("nan"), "the normal distribution", notes, float("inf"))
    if ddf != "satterthwaite":
        raise FitError(
            f"ddf={ddf!r} is for the model's own covariance: a robust one has 'satterthwaite' (Bell and McCaffrey's "
            "degrees of freedom) and 'z'."
        )
    label = "Satterthwaite's method (Bell and McCaffrey)"
    # The rank of a hypothesis does not depend on how many clusters there are: it is judged by the model's covariance.
    return ClusterF(beta, fit.estimate.cov_beta, robust.cov, float("nan"), label, notes, robust)


def parse_kind(kind: str) -> Kind:
    """The estimator of a name.

    Raises
    ------
    FitError
        For a name that is none.

    Examples
    --------
    >>> parse_kind("cr2"), parse_kind("HC3")
    ('CR2', 'CR3')
    """
    name = str(kind).upper()
    for known in get_args(Kind):
        if _OTHER_NAMES.get(name, name) == known:
            return known
    raise FitError(f"kind is one of {', '.join(map(repr, (*get_args(Kind), *_OTHER_NAMES)))}, not {kind!r}.")


def robust_covariance(fit: Fit, kind: str = "CR2", cluster: str | ArrayLike | None = None) -> RobustCovariance:
    """Estimate the covariance of the fixed effects by clusters.

    Parameters
    ----------
    fit : LinearResults
    kind : {"CR0", "CR1", "CR2", "CR3", "HC3"}
    cluster : str, array_like of shape (nobs,), or None

    Returns
    -------
    RobustCovariance

    Raises
    ------
    FitError
        For another model, another kind, or clusters that split a level.
    """
    name = parse_kind(kind)
    if not is_linear(fit):
        raise FitError(
            "Covariances by clusters are for linear and generalized mixed models; of a nonlinear one resample groups "
            "with bootstrap()."
        )
    if not len(fit.estimate.beta):
        raise FitError("The model has no fixed effects, whose covariance a robust one is.")
    clusters = clusters_of(fit, cluster)
    moments = cluster_moments(fit, clusters, "CR0" if name == "CR1" else name)
    half = moments.back @ moments.bread @ moments.scores.T
    count = len(clusters.labels)
    factor = count / (count - 1.0) if name == "CR1" else 1.0
    own = moments if name != "CR2" else cluster_moments(fit, clusters, "CR0")
    left = np.eye(len(own.bread)) - own.cross @ own.bread
    # Of CR3 `cluster_moments` has refused it.
    alone = np.linalg.svd(left, compute_uv=False)[:, -1] <= EXPLAINED if name != "CR3" else np.zeros(count, dtype=bool)
    label = str(clusters.labels[int(np.argmax(alone))]) if alone.any() else ""
    return RobustCovariance(name, clusters, factor * half @ half.T, moments, label)


def refuse_cluster(cluster: object) -> None:
    """Refuse clusters where no robust covariance is asked for."""
    if cluster is not None:
        raise FitError("cluster= is for a robust covariance: say which, such as kind='CR1'.")


def cov_params(fit: LinearFit, kind: str | None = None, *, cluster: str | ArrayLike | None = None) -> pd.DataFrame:
    """Return the covariance matrix of the fixed effects: the model's own, or one that is robust against it.

    Parameters
    ----------
    kind : {"CR0", "CR1", "CR2", "CR3", "HC3"}, optional
        A sandwich by clusters: of residuals as they are; times J / (J - 1) for J clusters; with residuals adjusted so
        that it is unbiased where the model is right (Bell & McCaffrey 2002; the best of them where clusters are few);
        with those of leaving out each cluster, which is what sandwich's ``vcovCL`` names HC3. By default the covariance
        of the model, at the estimated theta.
    cluster : str or array_like, shape (nobs,), optional
        A grouping factor, a column of the formula, or a label for each row used. By default the coarsest grouping
        factor. Clusters must hold every level of the random effects whole.

    Returns
    -------
    DataFrame, shape (p, p)

    Raises
    ------
    FitError
        For another kind, and clusters that are not independent in the model.

    See Also
    --------
    robust : The fit with such a covariance, in its tests, intervals and marginal means.

    References
    ----------
    Pustejovsky & Tipton (2018), J. Bus. Econ. Stat. 36, 672-683: R's clubSandwich, whose values these are.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
    >>> fit.cov_params("CR2").round(3)
               Intercept   Days
    Intercept     46.575 -1.451
    Days          -1.451  2.389
    """
    names = fit.params.index
    if kind is None:
        refuse_cluster(cluster)
    covariance = fit.estimate.cov_beta.copy() if kind is None else robust_covariance(fit, kind, cluster).cov
    return pd.DataFrame(covariance, index=names, columns=names)
