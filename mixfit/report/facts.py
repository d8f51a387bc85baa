"""What a printed summary says, as numbers and names; text and HTML are made from it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.families.several import DISPERSION
from mixfit.fitted.further import further_deviations, limit_notes
from mixfit.fitted.protocols import is_generalized, is_nonlinear
from mixfit.fitted.varcorr import random_covariances, term_order
from mixfit.inference.predictors import coefficient_table, further_names
from mixfit.matrices.censored import n_censored
from mixfit.tables.numbers import P_HEADER, format_common
from mixfit.wald import correlation as as_correlation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit, GeneralizedFit
    from mixfit.fitted.varcorr import RandomCovariances

__all__ = ["MAX_CORRELATED", "Heading", "SummaryFacts", "collect"]

# lme4's option "lme4.summary.cor.max"
MAX_CORRELATED = 12


@dataclass(frozen=True)
class Heading:
    """What each kind of model says of itself in a summary.

    Attributes
    ----------
    title : str
    family : str or None
        ``binomial  ( logit )``, as R prints a family; None for Gaussian models.
    criteria : dict of str to float
    tests : dict of str to Series
        Columns of the table of fixed effects after the standard errors; one named ``Pr(>|z|)`` holds
        p-values.
    dispersion : str or None
        A line on the dispersion where one is estimated.
    """

    title: str
    family: str | None
    criteria: dict[str, float]
    tests: dict[str, pd.Series[float]]
    dispersion: str | None


@dataclass(frozen=True)
class SummaryFacts:
    """What a summary says: the attributes are described at `Summary`, which prints them."""

    title: str
    family: str | None
    formula: str
    data_name: str | None
    criteria: dict[str, float]
    quantiles: NDArray[np.float64] | None
    varcorr: RandomCovariances
    nobs: int
    n_dropped: int
    groups: dict[str, int]
    coefficients: pd.DataFrame
    dispersion: str | None
    correlation: NDArray[np.float64] | None
    notes: tuple[str, ...]
    further: dict[str, pd.DataFrame] = field(default_factory=dict)
    deviations: dict[str, str] = field(default_factory=dict)


def collect(fit: Fit, correlation: bool | None = None) -> SummaryFacts:
    """Collect what a summary shows.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    correlation : bool, optional
        Whether to show the correlation of the fixed effects; by default up to 12 of them.

    Returns
    -------
    SummaryFacts
    """
    if is_generalized(fit):
        heading = _generalized_heading(fit)
    else:
        heading = _nonlinear_heading(fit) if is_nonlinear(fit) else _linear_heading(fit)
    model, estimate = fit.model, fit.estimate
    random = model.design.every_random
    p = len(estimate.beta)
    show = p <= MAX_CORRELATED if correlation is None else correlation
    return SummaryFacts(
        title=heading.title,
        family=heading.family,
        formula=model.description,
        data_name=model.data_name,
        criteria=heading.criteria,
        quantiles=_quantiles(fit) if model.design.has_rows and not n_censored(model.design) else None,
        varcorr=random_covariances(fit),
        nobs=fit.nobs,
        n_dropped=model.design.n_dropped,
        groups={random[t].grouping.name: random[t].n_groups for t in term_order(random)},
        # Thresholds, which stand before the fixed effects, have a table of their own.
        coefficients=pd.DataFrame({"Estimate": fit.params, "Std. Error": fit.bse, **heading.tests}).iloc[
            len(fit.params) - p :
        ],
        dispersion=heading.dispersion,
        correlation=as_correlation(estimate.cov_beta) if show and p > 1 else None,
        notes=_notes(fit, hidden=correlation is None and not show),
        deviations={name: further_deviations(fit, name) for name in further_names(fit)},
        further=_further(fit),
    )


def _quantiles(fit: Fit) -> NDArray[np.float64]:
    return np.quantile(np.asarray(fit.residuals("scaled"), dtype=float), [0.0, 0.25, 0.5, 0.75, 1.0])


def _further(fit: Fit) -> dict[str, pd.DataFrame]:
    """Tables of the predictors after the mean's, and of thresholds."""
    tables: dict[str, pd.DataFrame] | None = getattr(fit, "further_coefficients", None)
    return {name: coefficient_table(fit, name) for name in further_names(fit)} if tables is None else tables


def _linear_heading(fit: Fit) -> Heading:
    return Heading(
        title=f"Linear mixed model fit by {'REML' if fit.reml else 'maximum likelihood'}",
        family=None,
        criteria={"REML": fit.estimate.criterion} if fit.reml else fit.information_criteria(),
        tests={"t value": fit.tvalues},
        dispersion=None,
    )


def _nonlinear_heading(fit: Fit) -> Heading:
    method = f"maximum likelihood ({_integral(fit.estimate.n_agq)})"
    if fit.estimate.method == "lb":
        method = f"{'REML' if fit.reml else 'maximum likelihood'} (Lindstrom and Bates' algorithm)"
    return replace(_linear_heading(fit), title=f"Nonlinear mixed model fit by {method}")


def _integral(n_agq: int) -> str:
    return "Laplace Approximation" if n_agq == 1 else f"Adaptive Gauss-Hermite Quadrature, nAGQ = {n_agq}"


def _generalized_heading(fit: GeneralizedFit) -> Heading:
    family, quasi = fit.model.family, fit.estimate.method == "pql"
    method = f"maximum likelihood ({_integral(fit.estimate.n_agq)})"
    if quasi:
        method = "penalized quasi-likelihood (PQL)"
    dispersion = None
    if family.dispersion_label is not None and DISPERSION not in fit.estimate.further:
        dispersion = f"{family.dispersion_label}: {format_common([fit.dispersion], 3)[0]}"
    shapes = [f"{name}: {value:.3g}" for name, value in fit.family.shape_values.items()]
    if shapes:
        dispersion = "\n".join(filter(None, [dispersion, f"Other parameters of {family.name}: {', '.join(shapes)}"]))
    return Heading(
        title=f"Generalized linear mixed model fit by {method}",
        family=f"{family.name}  ( {family.link_name} )",
        criteria={} if quasi else fit.information_criteria(),
        tests={"z value": fit.tvalues, P_HEADER: fit.pvalues},
        dispersion=dispersion,
    )


def _notes(fit: Fit, *, hidden: bool) -> tuple[str, ...]:
    notes = []
    censored = n_censored(fit.model.design)
    if censored:
        notes.append(f"{fit.nobs - censored} events; {censored} rows are censored")
    if fit.model.prior_table:
        priors = "; ".join(f"{name} ~ {prior}" for name, prior in fit.model.prior_table)
        notes.append(f"the mode of likelihood times priors, {priors}; criteria are of the likelihood alone")
    if fit.model.note:
        notes.append(fit.model.note)
    if hidden:
        notes.append(
            f"Correlation of fixed effects not shown, as p = {len(fit.estimate.beta)} > "
            f"{MAX_CORRELATED}: use summary(correlation=True) or cov_params()"
        )
    aliased = fit.model.aliased
    if aliased:
        plural = "columns / coefficients" if len(aliased) > 1 else "column / coefficient"
        notes.append(
            f"fixed-effect model matrix is rank deficient so dropping {len(aliased)} {plural}: " + ", ".join(aliased)
        )
    if not fit.converged:
        certificate = fit.certificate
        notes.append(
            f"not converged: {certificate.message} (projected gradient "
            f"{certificate.projected_gradient:.2g}, predicted decrease {certificate.predicted_decrease:.2g})"
        )
    notes += limit_notes(fit) if is_generalized(fit) else []
    if fit.is_singular:
        notes.append("boundary (singular) fit: a random effect has no variance, or is determined by the others")
    return tuple(notes)
