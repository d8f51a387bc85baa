"""What a summary of rates says: a table of the parameters and one of the units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.tables.layout import shown
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from mixfit.rates.parameters import BetaBinomialParameters

__all__ = ["BetaBinomialSummary", "summarize"]

# What a screen holds.
_MOST_UNITS = 30
_TITLES = {
    "marginal": "Beta-binomial rates fit by maximum (marginal) likelihood",
    "joint": "Beta-binomial rates fit by joint likelihood of parameters and rates",
    "moments": "Beta-binomial rates fit by moments",
}


@dataclass(frozen=True, eq=False, repr=False)
class BetaBinomialSummary:
    """Two tables that print one below the other, and show as HTML in a notebook.

    Attributes
    ----------
    parameters : Table
        Mean and precision, then the working parameters: estimate, standard error and interval.
    rates : Table
        One row a unit.
    """

    parameters: Table
    rates: Table

    def as_text(self) -> str:
        """Return the summary as text."""
        return f"{self.parameters.as_text()}\n\n{self.rates.as_text()}"

    def as_html(self) -> str:
        """Return the summary as HTML."""
        return '<div class="mixfit-summary">\n' + self.parameters.as_html() + "\n" + self.rates.as_html() + "\n</div>"

    def __str__(self) -> str:
        return self.as_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.as_html()


def summarize(fit: BetaBinomialParameters, rates: pd.DataFrame, alpha: float) -> BetaBinomialSummary:
    """Build the summary of a fit and the rates of its units; `alpha` is one less the coverage of its intervals."""
    return BetaBinomialSummary(_parameters(fit, alpha), _rates(rates, alpha))


def _percent(probability: float) -> str:
    return f"{100.0 * probability:g} %"


def _parameters(fit: BetaBinomialParameters, alpha: float) -> Table:
    profiled = fit.method == "marginal"
    working = fit.conf_int(1.0 - alpha, method="profile" if profiled else "wald", scale="working")
    natural = pd.DataFrame(fit.to_natural(working.to_numpy()), index=fit.estimates().index, columns=[0, 1])
    estimates = fit.estimates()
    both = pd.DataFrame({"estimate": fit.params, "se": fit.bse})
    # Coefficients of covariates have one scale, and one row.
    new = [name for name in both.index if name not in estimates.index]
    numbers, limits = pd.concat([estimates, both.loc[new]]), pd.concat([natural, working.loc[new]])
    frame = pd.DataFrame(
        {
            "Estimate": numbers["estimate"],
            "Std. Error": numbers["se"],
            _percent(alpha / 2.0): limits[0],
            _percent(1.0 - alpha / 2.0): limits[1],
        }
    ).rename(index=shown)
    heading = [_TITLES[fit.method], f"Link of the mean: {fit.family.link.name}", _counts(fit)]
    if profiled:
        heading.append(f"Log-likelihood {fit.llf:.4f}, AIC {fit.aic:.2f}, BIC {fit.bic:.2f}")
    notes = ["Intervals: profile likelihood." if profiled else "Intervals: Wald, on the working scale."]
    if np.isinf(fit.precision):
        notes.append("The rates vary no more than binomial counts do: infinite precision, every rate at its mean.")
    if fit.method == "joint":
        notes.append("Joint maximization overstates the precision; method='marginal' does not.")
    if fit.aliased:
        notes.append(f"Left out, determined by others: {', '.join(map(shown, fit.aliased))}.")
    return Table(frame, heading=(*heading, ""), notes=tuple(notes))


def _counts(fit: BetaBinomialParameters) -> str:
    missing = f" ({fit.data.n_dropped} rows deleted due to missingness)" if fit.data.n_dropped else ""
    units = fit.units
    return f"{fit.nobs} units, {units.y.sum():.0f} successes in {units.n.sum():.0f} trials{missing}"


def _rates(rates: pd.DataFrame, alpha: float) -> Table:
    frame = rates.drop(columns=["mode_se_total", "sd"])
    frame = frame.rename(columns={"lower": _percent(alpha / 2.0), "upper": _percent(1.0 - alpha / 2.0)})
    notes = ["mode, mean and interval: of the posterior given mean and precision."]
    if len(frame) > _MOST_UNITS:
        notes.append(f"The first {_MOST_UNITS} of {len(frame)} units; rates() has them all.")
    decimals = {name: 4 for name in frame.columns if name not in ("successes", "trials")}
    return Table(frame.head(_MOST_UNITS), heading=("Rates:",), notes=tuple(notes), decimals=decimals)
