"""Variances and correlations of the random effects, printed as lme4 prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixfit.fitted.varcorr import RandomCovariances, random_covariances
from mixfit.matrices.types import MEAN
from mixfit.report.html import varcorr_html
from mixfit.report.text import varcorr_text

if TYPE_CHECKING:
    from mixfit.fitted.protocols import Fit

__all__ = ["VarCorr", "varcorr"]


class VarCorr(RandomCovariances):
    """The random-effects covariances of a fit; prints as lme4's ``VarCorr`` does.

    ``varcorr["Subject"]`` is the covariance matrix of a term as a DataFrame.

    Attributes
    ----------
    components : tuple of Component
        Terms by decreasing number of levels.
    sigma : float or None
        Residual standard deviation; None where the model has none, and then no row for it.
    residual : tuple of ResidualComponent
        Of correlated residuals, or residuals with standard deviations of their own.
    log_sd : tuple of (str, float)
        What columns of ``dispersion=`` add to the logarithm of the residual standard deviation.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> v = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit().varcorr()
    >>> v
     Groups   Name        Std.Dev. Corr
     Subject  (Intercept) 24.7405
              Days         5.9221  0.066
     Residual             25.5918
    >>> v["Subject"].round(2)
               Intercept   Days
    Intercept     612.09   9.60
    Days            9.60  35.07
    """

    def __str__(self) -> str:
        return varcorr_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return varcorr_html(self)


def varcorr(fit: Fit, predictor: str = MEAN) -> VarCorr:
    """Return variances, standard deviations and correlations of the random effects.

    Parameters
    ----------
    predictor : {"mean", "zi", "dispersion"}
        Whose random effects.

    Returns
    -------
    VarCorr
        Prints as lme4's; ``.to_frame()`` has the columns of ``as.data.frame(VarCorr(m))``. The
        residual has a row where the model has a residual variance.

    Raises
    ------
    FitError
        For a predictor whose random effects are all correlated with the mean's: they stand among these.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.varcorr()
     Groups   Name        Std.Dev. Corr
     Subject  (Intercept) 24.7405
              Days         5.9221  0.066
     Residual             25.5918
    >>> fit.varcorr()["Subject"].round(2)
               Intercept   Days
    Intercept     612.09   9.60
    Days            9.60  35.07
    """
    known = random_covariances(fit, predictor)
    return VarCorr(known.components, known.sigma, known.residual, known.log_sd)
