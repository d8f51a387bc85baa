"""The estimates of a fit as JSON, for other programs and for later."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from mixfit.inference.predictors import further_names
from mixfit.report.augment import glance
from mixfit.report.facts import collect
from mixfit.report.tidy import further_table, tidy
from mixfit.version import __version__

if TYPE_CHECKING:
    import pandas as pd

    from mixfit.fitted.protocols import Fit

__all__ = ["to_json"]


def to_json(fit: Fit, *, ddf: str | None = None) -> str:
    """Return the estimates as JSON, in full precision.

    Parameters
    ----------
    ddf : {"auto", "satterthwaite", "kenward-roger", "residual", "z", "none"}, optional
        Degrees of freedom of the tests of the fixed effects, as in `summary`.

    Returns
    -------
    str
        An object with ``mixfit`` (the version), ``title``, ``formula``, ``family``, ``converged``, ``nobs``, ``groups``
        (levels by factor), ``estimates`` (the rows of ``tidy``), ``predictors`` (tables of the predictors after the
        mean's) and ``statistics`` (the row of ``glance``). What is not known or not finite is ``null``.

    Examples
    --------
    >>> import json
    >>> import mixfit
    >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp")).fit()
    >>> saved = json.loads(fit.to_json())
    >>> saved["formula"], saved["groups"]
    ('bright ~ 1 + (1 | operator)', {'operator': 4})
    >>> [(row["term"], round(row["estimate"], 3)) for row in saved["estimates"]]
    [('(Intercept)', 60.4), ('sd__(Intercept)', 0.261), ('sd__Observation', 0.326)]
    """
    facts = collect(fit, correlation=False)
    content = {
        "mixfit": __version__,
        "title": facts.title,
        "formula": facts.formula,
        "family": facts.family and " ".join(facts.family.split()),
        "converged": bool(fit.converged),
        "nobs": facts.nobs,
        "groups": facts.groups,
        "estimates": _rows(tidy(fit, ddf=ddf)),
        "predictors": {name: _rows(further_table(fit, name)) for name in further_names(fit)},
        "statistics": _rows(glance(fit))[0],
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame as JSON knows them."""
    return [{str(name): _plain(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    """A Python scalar; None for what is missing or infinite, for which JSON has no word."""
    scalar = value.item() if hasattr(value, "item") else value
    return None if isinstance(scalar, float) and not math.isfinite(scalar) else scalar
