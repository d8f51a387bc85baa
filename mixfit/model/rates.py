"""Empirical Bayes for rates: `beta_binomial`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from mixfit.errors import FitError
from mixfit.families.proportions import BetaBinomial
from mixfit.helped import helped
from mixfit.rates.estimate import check, estimate_joint, estimate_marginal
from mixfit.rates.moments import estimate_moments
from mixfit.rates.read import read_units
from mixfit.results.rates import BetaBinomialResults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = ["beta_binomial"]

_METHODS = {"marginal": estimate_marginal, "joint": estimate_joint, "moments": estimate_moments}


@helped
def beta_binomial(
    successes: str | ArrayLike,
    trials: str | ArrayLike | None = None,
    data: Any = None,
    *,
    by: str | Sequence[str] | ArrayLike | None = None,
    method: Literal["marginal", "joint", "moments"] = "marginal",
    link: Literal["logit", "probit", "cloglog"] = "logit",
    na_action: Literal["drop", "raise"] = "drop",
) -> BetaBinomialResults:
    r"""Empirical Bayes for the rates of several units.

    Unit i has y_i successes in n_i trials at its own rate p_i, and the rates come from one beta distribution with mean
    m and precision s (alpha = m s, beta = (1 - m) s). Mean and precision are estimated from all units together; each
    rate is then what its unit and this distribution say of it, y_i and n_i - y_i added to alpha and beta.

    Parameters
    ----------
    successes : str or array-like, shape (rows,)
        Counts of successes, or booleans: an array, a column of `data`, or a formula
        ``cbind(successes, failures) ~ x`` whose right side models the mean on the scale of `link`, as g(m_i) = x_i'b.
    trials : str, array-like of shape (rows,), or int
        Numbers of trials, one for each row or one for all; left out with a formula.
    data : pandas.DataFrame, or any table that narwhals reads eagerly, optional
        Needed for names and formulas.
    by : str, sequence of str, or array-like of shape (rows,), optional
        What makes a unit: a column, several, or one label for each row. Rows of one unit are added up: as units of
        their own they would pass for independent draws of a rate, with standard errors too small and every rate
        drawn too far to the mean. Without it each row is a unit, named by the index.
    method : {"marginal", "joint", "moments"}
        How m and s are estimated: by the beta-binomial likelihood, in which the rates are integrated out; by the
        likelihood of parameters and rates together, for teaching (it overstates s and may have no maximum); or by
        moments (Kleinman 1973; without covariates).
    link : {"logit", "probit", "cloglog"}
        Of the mean.
    na_action : {"drop", "raise"}
        What to do with rows in which something that is used is missing.

    Returns
    -------
    BetaBinomialResults
        With ``mean``, ``precision``, ``conf_int()``, ``rates()``, ``compare()``, ``summary()`` and ``plot()``. Where
        the units vary no more than binomial counts do, the precision is infinite. A unit without trials has the rate
        of the distribution that it comes from.

    Raises
    ------
    FormulaError, DataError
        For anything that cannot be read: counts that are no counts, more successes than trials, two rows of one label.
    DesignError, FitError
        Where data or method leave m or s without an estimate: one unit, one trial a unit, no success at all, only
        successes or only failures in every unit.

    References
    ----------
    Skellam, J. G. (1948). JRSS B 10, 257-261 (the beta-binomial). Kleinman, J. C. (1973). JASA 68, 46-54 (moments).
    Efron, B. and Morris, C. (1975). JASA 70, 311-319 (shrinkage).

    Examples
    --------
    >>> import mixfit
    >>> herds = mixfit.datasets.load("cbpp")
    >>> fit = mixfit.beta_binomial("incidence", "size", herds, by="herd")
    >>> fit.estimates().round(3)
               estimate     se
    mean          0.140  0.027
    precision    13.946  6.808
    >>> fit.conf_int().round(3)
                   0       1
    mean       0.096   0.209
    precision  5.185  37.247
    """
    if method not in _METHODS:
        raise FitError(f"method is 'marginal', 'joint' or 'moments', not {method!r}.")
    if link not in BetaBinomial.links:
        raise FitError(f"The link is one of {', '.join(BetaBinomial.links)}, not {link!r}.")
    family = BetaBinomial(link)
    read = read_units(successes, trials, data, by, na_action)
    check(read.units)
    return BetaBinomialResults(_METHODS[method](read.units, family.link), read, family)
