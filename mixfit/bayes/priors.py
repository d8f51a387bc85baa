"""The priors of a model as one writes them down: by kind of parameter, by grouping factor, or by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mixfit.bayes.covariances import LKJ, Decov, InvWishart, Wishart
    from mixfit.bayes.distributions import Distribution

    Covariance = Decov | Wishart | InvWishart

__all__ = ["Priors"]


@dataclass(frozen=True)
class Priors:
    """Priors of a mixed model's parameters.

    What is left out is as rstanarm has it: see the notes. A mapping gives a prior by name, and leaves the others as
    they are by default.

    Parameters
    ----------
    fixed : Distribution or mapping of str to Distribution, optional
        Of the coefficients: `Normal`, `StudentT`, `Cauchy` or `Flat`.
    intercept : Distribution, optional
        Of the intercept at the means of the covariates, as in rstanarm and brms.
    sd : Distribution or mapping of str to Distribution, optional
        Of the standard deviations of random effects, in units of the response; by grouping factor
        (``"Subject"``) or by parameter (``"sd(Subject, Days)"``).
    cor : LKJ or mapping of str to LKJ, optional
        Of their correlations, beside `sd`; by grouping factor. `LKJ(1)` by default.
    covariance : Decov, Wishart, InvWishart or mapping of str to these, optional
        Of a term's covariance as a whole, in place of `sd` and `cor`; by grouping factor.
    sigma : Distribution, optional
        Of the residual standard deviation.
    dispersion : Distribution, optional
        Of the family's dispersion phi, as a fit has it: a precision of nbinom2 (Var = mu + mu**2 / phi) and beta, a
        factor of the variance of Gamma.
    zi : Distribution or mapping of str to Distribution, optional
        Of the coefficients of the logit of further zeros, each by itself: ``Normal(0, 2.5)`` by default.
    theta : mapping of str to Distribution, optional
        Of the own parameters of structures, such as ``"cor(ar1, Subject)"``; uniform by default where they are between
        two bounds.

    Notes
    -----
    rstanarm's defaults, with s_y the standard deviation of the response (1 where the family has no residual variance),
    s_x that of a covariate: ``intercept=Normal(mean of y, 2.5 s_y)`` (mean 0 for other families),
    ``fixed=Normal(0, 2.5 s_y / s_x)``, ``sigma=Exponential(1 / s_y)``, ``covariance=Decov()``,
    ``dispersion=Exponential(1)``, of Gamma models ``InvGamma(1, 1)``, with which 1 / phi is exponential. Where phi has
    units of the response (Gaussian with a link, inverse Gaussian, lognormal, t) there is no default.

    Examples
    --------
    >>> from mixfit.bayes import Exponential, HalfNormal, LKJ, Normal, Priors
    >>> Priors(fixed=Normal(0, 20), sd=HalfNormal(50), cor=LKJ(2), sigma=Exponential(0.02)).cor
    LKJ(eta=2)
    """

    fixed: Distribution | Mapping[str, Distribution] | None = None
    intercept: Distribution | None = None
    sd: Distribution | Mapping[str, Distribution] | None = None
    cor: LKJ | Mapping[str, LKJ] | None = None
    covariance: Covariance | Mapping[str, Covariance] | None = None
    sigma: Distribution | None = None
    dispersion: Distribution | None = None
    zi: Distribution | Mapping[str, Distribution] | None = None
    theta: Mapping[str, Distribution] | None = None
