r"""The default priors of rstanarm, brms and blme, and MCMCglmm's usual ones, on the data of a model.

- rstanarm 2.32: normal coefficients with standard deviations 2.5 s_y / s_x, the intercept at centred covariates with
  2.5 s_y around the mean of y, an exponential sigma with mean s_y, and `Decov` (its vignette on priors); exponential
  dispersions of counts and proportions, and 1 / phi of Gamma models, with mean 1.
- brms 2.x: flat coefficients; with a = max(2.5, MAD of y), to one digit, a t prior with 3 degrees of freedom and scale
  a for the intercept around the median of y, for standard deviations and for sigma; LKJ(1). The same dispersions as
  rstanarm's are Gamma(0.01, 0.01).
- blme 1.0: flat coefficients and sigma, a Wishart prior of k + 2.5 degrees of freedom and infinite scale for
  Sigma / sigma^2.
- MCMCglmm: normal coefficients with variance 1e10, as by its default; for variances V = 1, nu = 0.002, and for
  covariances V = I, nu = k - 1 + 0.002, which its users write down: its own default, nu = 0, is no distribution.

The response is on the scale of the link where that is a transformation; s_y = 1 without a residual variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixfit.bayes.covariances import LKJ, Decov, InvWishart, Wishart
from mixfit.bayes.distributions import Distribution, Flat, Normal, StudentT
from mixfit.bayes.names import group_names
from mixfit.bayes.positive import Exponential, Gamma, HalfT, InvGamma, SqrtInvGamma
from mixfit.bayes.priors import Priors
from mixfit.errors import PriorError
from mixfit.families import continuous

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mixfit.families.base import Family
    from mixfit.fitted.protocols import Model
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]

__all__ = ["PRESETS", "Facts", "preset"]

# rstanarm's default scale in standard deviations; brms's least scale of its t priors.
_SCALE = 2.5
# The standard deviation that a normal variable's median absolute deviation is multiplied by, as R's mad.
_MAD = 1.4826
# What brms adds to a response of zero before it takes a logarithm.
_OFF_ZERO = 0.1
_DF = 3.0
# MCMCglmm's variance of coefficients, and the degree of belief in variances of its course notes.
_DIFFUSE, _BELIEF = 1e10, 0.002
# Shape and rate of brms's gamma prior of shapes and precisions.
_VAGUE = 0.01


@dataclass(frozen=True, eq=False)
class Facts:
    """What priors take from the data.

    Attributes
    ----------
    names : tuple of str, length p
    intercept : int, or None
        Which column is the constant.
    means, spread : ndarray, shape (p,)
        Means of the columns, and standard deviations (1 for a constant).
    y : ndarray, shape (n,)
        The response, on the scale of the link where the family has a transforming one.
    residual : bool
        Whether there is a residual variance.
    columns : dict of str to int
        Of the free terms with correlated columns, or one, by grouping factor.
    independent : tuple of str
        Grouping factors of terms with several independent columns.
    family : Family, or None
        None of linear models.
    """

    names: tuple[str, ...]
    intercept: int | None
    means: Array
    spread: Array
    y: Array
    residual: bool
    columns: dict[str, int]
    independent: tuple[str, ...]
    family: Family | None = None

    @classmethod
    def of(cls, model: Model, *, residual: bool) -> Facts:
        """Of a model's rows."""
        X = model.exog
        constant = np.flatnonzero((X == 1.0).all(axis=0))
        spread = X.std(axis=0, ddof=1)
        random = model.design.random
        terms = list(zip(group_names(random), random, strict=True))
        whole = [(g, r) for g, r in terms if len(r.structure.free_blocks) == 1]
        return cls(
            names=model.exog_names,
            intercept=int(constant[0]) if len(constant) else None,
            means=X.mean(axis=0),
            spread=np.where(spread > 0.0, spread, 1.0),
            y=_linked(model),
            residual=residual,
            columns={g: r.structure.k for g, r in whole},
            independent=tuple(g for g, r in terms if len(r.structure.free_blocks) > 1),
            family=getattr(model, "family", None),
        )

    @cached_property
    def response(self) -> float:
        """s_y."""
        return float(self.y.std(ddof=1)) if self.residual else 1.0

    def of_dispersion(self, precision: Distribution, reciprocal: Distribution) -> Distribution | None:
        """The prior of phi: that of precisions, its reciprocal for Gamma's, and none where phi has units."""
        if isinstance(self.family, continuous.Gamma):
            return reciprocal
        family = self.family
        if family is None:
            return None
        has_units = family.kind == "continuous" and np.isinf(family.support.upper) and not family.censors
        return None if has_units else precision

    @property
    def default_deviation(self) -> Distribution:
        """Of a standard deviation that `Decov` cannot have: exponential with mean s_y."""
        return Exponential(1.0, autoscale=True)

    def column_spread(self, r: RandomDesign) -> Array:
        """Standard deviations of a term's columns, (k,), 1 for a constant."""
        spread = r.Z.std(axis=0, ddof=1)
        return np.where(spread > 0.0, spread, 1.0)


def _linked(model: Model) -> Array:
    """The response as brms takes its median: g(y) of a logarithmic link, y itself with the identity."""
    y = model.design.y if model.design.offset is None else model.design.y - model.design.offset
    family = getattr(model, "family", None)
    if family is None or family.link.name == "identity":
        return y
    if family.link.name == "log":
        # Of times, those at which rows are censored stand with a minus sign.
        y = np.abs(model.design.y) if family.censors else model.design.y
        return np.log(np.where(y == 0.0, _OFF_ZERO, y))
    return np.zeros(len(y))


def preset(name: str, facts: Facts) -> Priors:
    """The default priors of a package on these data.

    Raises
    ------
    PriorError
        For a name that is none.
    """
    if name not in PRESETS:
        raise PriorError(f"priors={name!r}: the names of priors are {', '.join(map(repr, PRESETS))}.")
    return PRESETS[name](facts)


def _rstanarm(facts: Facts) -> Priors:
    mean = float(facts.y.mean()) if facts.residual else 0.0
    return Priors(
        fixed=Normal(0.0, _SCALE, autoscale=True),
        intercept=Normal(mean, _SCALE, autoscale=True),
        covariance=Decov(),
        sigma=Exponential(1.0, autoscale=True),
        dispersion=facts.of_dispersion(Exponential(1.0), InvGamma(1.0, 1.0)),
    )


def _brms(facts: Facts) -> Priors:
    median = float(np.median(facts.y))
    scale = max(_SCALE, round(_MAD * float(np.median(np.abs(facts.y - median))), 1))
    return Priors(
        fixed=Flat(),
        intercept=StudentT(_DF, round(median, 1), scale),
        sd=HalfT(_DF, scale),
        cor=LKJ(1.0),
        sigma=HalfT(_DF, scale),
        dispersion=facts.of_dispersion(Gamma(_VAGUE, _VAGUE), InvGamma(_VAGUE, _VAGUE)),
    )


def _blme(facts: Facts) -> Priors:
    return Priors(fixed=Flat(), intercept=Flat(), covariance=Wishart(scale=np.inf, relative=True), sigma=Flat())


def _mcmcglmm(facts: Facts) -> Priors:
    wide, variance = Normal(0.0, float(np.sqrt(_DIFFUSE))), SqrtInvGamma(0.5 * _BELIEF, 0.5 * _BELIEF)
    df = {name: k - 1.0 + _BELIEF for name, k in facts.columns.items()}
    return Priors(
        fixed=wide,
        intercept=wide,
        covariance={name: InvWishart(nu, scale=nu) for name, nu in df.items()},
        sd=dict.fromkeys(facts.independent, variance) or None,
        sigma=variance,
    )


PRESETS: dict[str, Callable[[Facts], Priors]] = {
    "rstanarm": _rstanarm,
    "brms": _brms,
    "blme": _blme,
    "MCMCglmm": _mcmcglmm,
}
