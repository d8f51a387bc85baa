"""A fit as the PyPI package marginaleffects takes its models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mixfit.errors import FitError, MissingPackageError
from mixfit.helped import helped
from mixfit.inference.predictors import refuse_unordered

if TYPE_CHECKING:
    from mixfit.fitted.protocols import Fit
    from mixfit.inference.means.marginaleffects_model import MixedModelAdapter

__all__ = ["marginaleffects_adapter"]


@helped
def marginaleffects_adapter(
    fit: Fit,
    *,
    type: Literal["response", "link"] = "response",  # noqa: A002
    ddf: str | None = None,
) -> MixedModelAdapter:
    """Wrap a fit for the functions of marginaleffects: predictions, comparisons, slopes, hypotheses.

    Predictions are those of the fixed effects, random effects being zero (``re_form="population"``); the rows are
    those of the fit unless marginaleffects is given others, and offsets are taken from the rows. marginaleffects has
    one number of degrees of freedom for all tests of a model: it is given the smallest of the coefficients'. The
    grouping factors are columns too, for ``by=``, and factors of numbers (``C(day)``) have their numbers as text. The
    standard errors of slopes are differences of differences there, good to three digits; ``slopes(...,
    eps_vcov=1e-4)`` gives more.

    With polars 2, marginaleffects 0.6.0 predicts and gives slopes of numbers, but fails where it compares the levels
    of factors, in a function of its own: the extra ``mixfit[marginaleffects]`` brings polars 1, with which all works.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    type : {"response", "link"}
        Scale of a generalized model's predictions.
    ddf : {"auto", "satterthwaite", "kenward-roger", "residual", "z"}, optional
        Degrees of freedom, as in ``fit.contest``, with Kenward and Roger's covariance for theirs.

    Returns
    -------
    MixedModelAdapter
        To be given to marginaleffects in the place of a model. Its ``get_vcov`` also knows
        ``vcov="kenward-roger"`` for linear models.

    Raises
    ------
    ImportError
        Where the package is not installed.
    FitError
        For another `type`, or a model that was not read from a formula.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> from marginaleffects import avg_slopes  # doctest: +SKIP
    >>> avg_slopes(mixfit.marginaleffects_adapter(fit))["estimate"].round(2).to_list()  # doctest: +SKIP
    [10.47]
    """
    if type not in ("response", "link"):
        raise FitError(f"type is 'response' or 'link', not {type!r}.")
    refuse_unordered(fit, "Averages by marginaleffects")
    try:
        from mixfit.inference.means.marginaleffects_model import MixedModelAdapter
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"The package {error.name} is missing: pip install 'mixfit[marginaleffects]' brings all that is needed."
        ) from error
    return MixedModelAdapter(fit, type == "response", ddf)
