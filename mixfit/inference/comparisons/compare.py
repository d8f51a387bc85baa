"""Fits side by side: information criteria with their weights, R2, errors of prediction, and likelihood-ratio tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit import wald
from mixfit.arguments import one_by_one
from mixfit.errors import ComparisonError, FitError
from mixfit.fitted.protocols import is_fit, is_nonlinear
from mixfit.helped import helped
from mixfit.inference.comparisons.candidates import candidate
from mixfit.inference.comparisons.common_rows import on_common_rows
from mixfit.inference.comparisons.likelihood_ratio import (
    REFITTED,
    boundary_notes,
    by_maximum_likelihood,
    check_comparable,
    check_nested,
    check_restricted,
    check_rows,
    tail_of,
)
from mixfit.inference.r2 import r2
from mixfit.matrices.censored import n_censored
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.inference.comparisons.candidates import Candidate

    Array = NDArray[np.float64]

__all__ = ["compare", "criterion_weights"]


def criterion_weights(values: Array) -> Array:
    """Weights exp(-Delta / 2), which add up to 1 (Burnham & Anderson 2002, section 2.9).

    Parameters
    ----------
    values : ndarray, shape (m,)
        A criterion of each model; infinite for one without a weight.

    Returns
    -------
    ndarray, shape (m,)

    Examples
    --------
    >>> criterion_weights(np.array([10.0, 10.0, np.inf])).tolist()
    [0.5, 0.5, 0.0]
    """
    relative = np.exp(-0.5 * (values - values.min())) if np.isfinite(values).any() else np.full(len(values), np.nan)
    return np.asarray(relative / relative.sum())


@helped
def compare(*fits: Any, refit: bool = True, names: Sequence[str] | None = None) -> Table:
    """Compare fits to the same rows, as ``performance::compare_performance``, nested or not.

    Parameters
    ----------
    *fits : LinearResults or GeneralizedResults
        Two or more, of the same response on the same rows, of one family or of several; or one list of them, or one
        mapping, whose keys are names.
    refit : bool
        Whether criteria and tests of REML fits are those of their refits by maximum likelihood, which a note says.
        Without it restricted likelihoods are compared, and refused where they are of different fixed effects.
    names : sequence of str, optional
        Names of the rows; ``m0``, ``m1``, ... by default, in the order of the arguments.

    Returns
    -------
    Table
        A row a model, in the order of the arguments: ``npar``, ``logLik``, ``AIC``, ``AICc``, ``BIC`` with their
        weights ``wAIC``, ``wAICc``, ``wBIC``; ``R2m`` and ``R2c`` (Nakagawa's, marginal and conditional; NaN where
        the family has none), ``RMSE`` of the fitted values, random effects included, and ``sigma``, which are of
        the fits as they are (R2 and ``RMSE`` are NaN for models of rows in batches); and the likelihood-ratio test
        ``Chisq``, ``Df``, ``Pr(>Chisq)`` against the largest of the models that is nested in this one, which
        ``against`` names.

    Raises
    ------
    ComparisonError
        Where fits differ in response or rows, where REML likelihoods of different fixed effects would be compared,
        and for a fit without a likelihood.

    See Also
    --------
    anova : Likelihood-ratio tests of a chain of nested models, with what is wrong where they are not.

    Notes
    -----
    That one model is nested in another is found as in `anova`. A test of variances lies on the boundary and its
    p-value is too large; see ``ranova``.

    References
    ----------
    Burnham & Anderson (2002), Model Selection and Multimodel Inference; Hurvich & Tsai (1989), Biometrika 76.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> one = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
    >>> two = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> table = mixfit.compare(one, two, names=["intercepts", "slopes"])
    >>> table.frame[["AICc", "wAICc", "R2m", "RMSE", "Chisq"]].round(3)
                    AICc  wAICc    R2m    RMSE   Chisq
    intercepts  1802.307    0.0  0.280  29.411     NaN
    slopes      1764.425    1.0  0.279  23.438  42.139
    """
    models, labels = one_by_one(fits, names)
    if len(models) < 2:
        raise ComparisonError("compare takes two fits or more: compare(m0, m1).")
    labels = [f"m{i}" for i in range(len(models))] if labels is None else labels
    if len(labels) != len(models) or len(set(labels)) != len(labels):
        raise ComparisonError(f"names needs {len(models)} different names, one for each fit; it has {labels}.")
    given = [_candidate(name, fit) for name, fit in zip(labels, models, strict=True)]
    for other in given[1:]:
        check_rows(given[0], other)
    notes = []
    if refit:
        compared = [by_maximum_likelihood(m) for m in given]
        notes += [REFITTED] if any(m.reml for m in given) else []
    else:
        compared = given
        check_restricted(on_common_rows(compared) if any(m.reml for m in compared) else compared)
    tests = _tests(compared, notes)
    frame = pd.concat([_criteria(compared), pd.DataFrame([_quality(m) for m in given], index=labels), tests], axis=1)
    notes += [f"The fit {m.name} did not converge" for m in compared if m.fit is not None and not m.fit.converged]
    return Table(
        frame,
        heading=("Models:", *(f"{m.name}: {m.formula}" for m in given)),
        notes=tuple(notes),
        p_column="Pr(>Chisq)",
        decimals=dict.fromkeys(("AIC", "AICc", "BIC", "logLik"), 1)
        | dict.fromkeys(("wAIC", "wAICc", "wBIC", "R2m", "R2c"), 3),
    )


def _candidate(name: str, fit: Any) -> Candidate:
    try:
        return candidate(name, fit)
    except FitError as error:
        raise ComparisonError(f"{name} has no likelihood to compare: {error}") from error


def _criteria(models: Sequence[Candidate]) -> pd.DataFrame:
    columns: dict[str, object] = {"npar": [m.npar for m in models], "logLik": [m.llf for m in models]}
    values = {
        "AIC": [wald.aic(m.llf, m.npar) for m in models],
        "AICc": [wald.aicc(m.llf, m.npar, m.nobs) for m in models],
        "BIC": [wald.bic(m.llf, m.npar, m.nobs) for m in models],
    }
    weights = {f"w{name}": criterion_weights(np.array(value)) for name, value in values.items()}
    return pd.DataFrame({**columns, **values, **weights}, index=[m.name for m in models])


def _quality(model: Candidate) -> dict[str, float]:
    """Of the fit as it was given."""
    fit = model.fit
    if fit is None or not (is_fit(fit) or is_nonlinear(fit)):
        return dict.fromkeys(("R2m", "R2c", "RMSE", "sigma"), float("nan"))
    out = {"R2m": float("nan"), "R2c": float("nan")}
    try:
        if is_fit(fit):
            found = r2(fit)
            out = {"R2m": found.marginal, "R2c": found.conditional}
    except FitError:
        # A family and link without a variance on the latent scale, or no rows that variances are of: there is no R2,
        # and the table is blank.
        pass
    error = float("nan")
    design = fit.model.design
    if design.has_rows and not n_censored(design):
        error = float(np.sqrt(np.mean(np.asarray(fit.residuals("response"), dtype=float) ** 2)))
    sigma = float("nan") if fit.residual_sd is None else fit.residual_sd
    return {**out, "RMSE": error, "sigma": sigma}


def _tests(models: Sequence[Candidate], notes: list[str]) -> pd.DataFrame:
    """The test of every model against the largest that is nested in it."""
    rows = []
    for model in models:
        pairs = [_nested(other, model) for other in models if other.npar < model.npar]
        inside = [pair for pair in pairs if pair is not None]
        if not inside:
            rows.append({"against": "", "Chisq": np.nan, "Df": np.nan, "Pr(>Chisq)": np.nan})
            continue
        smaller, larger = max(inside, key=lambda pair: pair[0].npar)
        statistic = 2.0 * max(larger.llf - smaller.llf, 0.0)
        notes += boundary_notes(smaller, larger)
        rows.append(
            {
                "against": smaller.name,
                "Chisq": statistic,
                "Df": larger.npar - smaller.npar,
                "Pr(>Chisq)": tail_of(smaller, larger, statistic),
            }
        )
    return pd.DataFrame(rows, index=[m.name for m in models])


def _nested(smaller: Candidate, larger: Candidate) -> tuple[Candidate, Candidate] | None:
    """The two on the same rows, where the larger one is known to contain the smaller one."""
    try:
        check_comparable(smaller, larger)
        smaller, larger = on_common_rows([smaller, larger])
        check_nested(smaller, larger)
    except ComparisonError:
        return None
    return smaller, larger
