"""The same model under other distributions: information criteria on the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import ComparisonError, MixfitError
from mixfit.fitted.protocols import is_fit
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from mixfit.fitted.protocols import Fit

__all__ = ["compare_families"]

_COLUMNS = ("npar", "logLik", "AIC", "BIC")


def compare_families(fit: Fit, candidates: Any) -> Table:
    """Fit the same predictors with other families to the same rows, and rank them by AIC.

    Parameters
    ----------
    candidates : sequence
        Families as `mixfit.mixed` takes them (``"nbinom2"``, ``"gamma(log)"``, ...), and fits that are taken as they
        are: with other predictors, of zeros say, of the same response.

    Returns
    -------
    Table
        A row a candidate and one for the fit itself, the best first: ``npar``, ``logLik``, ``AIC``, ``dAIC`` from the
        best, ``BIC``, and Akaike's ``weight``. NaN for a family that does not suit the response or could not be
        fitted, for the reason that a note gives.

    Raises
    ------
    ComparisonError
        For a fit to another response.

    Examples
    --------
    >>> import mixfit
    >>> ticks = mixfit.datasets.load("grouseticks")
    >>> fit = mixfit.mixed("TICKS ~ YEAR + (1 | BROOD)", ticks, family="poisson").fit()
    >>> table = fit.compare_families(["nbinom1", "nbinom2", "bell"])
    >>> table.frame[["npar", "dAIC"]].round(1)
                  npar   dAIC
    bell(log)        4    0.0
    nbinom2(log)     5    2.0
    nbinom1(log)     5   15.8
    poisson(log)     4  197.6
    """
    if not hasattr(fit.model, "with_family"):
        raise ComparisonError("Families are compared of models without residual=: leave it out, or compare by anova.")
    if isinstance(candidates, str):
        candidates = [candidates]
    own = fit.model.fit(reml=False) if fit.reml else fit
    rows, notes = {_name(own): _row(own)}, []
    for candidate in candidates:
        name = _name(candidate) if is_fit(candidate) else str(candidate)
        try:
            other = _compared(own, candidate) if is_fit(candidate) else _fitted(own, candidate)
            name = _unused(_name(other), rows)
            rows[name] = _row(other)
            if not other.converged:
                notes.append(f"{name} did not converge: {other.certificate.message}")
        except ComparisonError:
            raise
        except MixfitError as error:
            rows[_unused(name, rows)] = dict.fromkeys(_COLUMNS, np.nan)
            notes.append(f"{name}: {error}")
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(_COLUMNS))
    frame = frame.sort_values("AIC", kind="stable")
    frame.insert(3, "dAIC", frame["AIC"] - frame["AIC"].min())
    relative = np.exp(-0.5 * frame["dAIC"])
    frame["weight"] = relative / relative.sum()
    return Table(frame, heading=(f"Families of {own.model.design.endog_name}", ""), notes=tuple(notes))


def _row(fit: Fit) -> dict[str, float]:
    return {"npar": fit.npar, "logLik": fit.llf, "AIC": fit.aic, "BIC": fit.bic}


def _name(fit: Fit) -> str:
    """The family with its link, and which predictors there are beside the mean's."""
    family = getattr(fit.model, "family", None)
    further = "".join(f", {p.name}" for p in fit.model.design.further)
    return f"{'gaussian(identity)' if family is None else repr(family)}{further}"


def _unused(name: str, rows: dict[str, dict[str, float]]) -> str:
    number = 2
    out = name
    while out in rows:
        out, number = f"{name} [{number}]", number + 1
    return out


def _fitted(fit: Fit, family: Any) -> Fit:
    model = fit.model.with_family(family)
    linear = getattr(model, "family", None) is None
    return model.fit(reml=False) if linear else model.fit(n_agq=getattr(fit.estimate, "n_agq", 1))


def _compared(fit: Fit, other: Fit) -> Fit:
    """A fit to the same rows."""
    ours, theirs = fit.model.design, other.model.design
    if len(ours.y) != len(theirs.y) or not np.array_equal(ours.y, theirs.y):
        raise ComparisonError(
            f"{other.model.description} is fitted to another response than {fit.model.description}: criteria compare "
            "models of the same rows."
        )
    return other.model.fit(reml=False) if other.reml else other
