"""Rows of a table of models: estimates with what stands below them, random effects, statistics of fits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from mixfit.errors import FitError
from mixfit.fitted.protocols import is_linear
from mixfit.fitted.varcorr import own_terms, random_covariances, term_order
from mixfit.inference.predictors import further_names
from mixfit.inference.r2 import icc, r2
from mixfit.matrices.types import MEAN
from mixfit.report.tidy import COMPONENTS, tidy
from mixfit.tables.grid import Cell, Row
from mixfit.tables.layout import shown
from mixfit.tables.numbers import stars as codes_of
from mixfit.wald import aicc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from mixfit.fitted.protocols import Fit

    Estimate = Mapping[str, float]

__all__ = ["BELOW", "STATISTICS", "Layout", "estimates", "random_rows", "statistic_rows"]

#: What may stand below an estimate, by the column of ``tidy`` it comes from.
BELOW = ("std.error", "conf.int", "statistic", "df", "p.value")
#: Statistics of a fit, by what a row is called; groups have a row for each factor.
STATISTICS: dict[str, str] = {
    "nobs": "Observations",
    "groups": "Groups",
    "npar": "Parameters",
    "logLik": "Log-likelihood",
    "deviance": "Deviance",
    "AIC": "AIC",
    "AICc": "AICc",
    "BIC": "BIC",
    "R2m": "R2 marginal",
    "R2c": "R2 conditional",
    "ICC": "ICC",
    "RMSE": "RMSE",
    "sigma": "Sigma",
}
# Decimals of statistics that are shares, and of others that are no counts.
_SHARES = {"R2m": 3, "R2c": 3, "ICC": 3}
_CRITERIA_DECIMALS = 1
_COUNTS = ("nobs", "groups", "npar")
# p-values are given to three decimals, and smaller ones by a bound.
_P_DECIMALS = 3
# Decimals of correlations and of other parameters between -1 and 1.
_CORRELATION_DECIMALS = 2
# A standard error that is this much smaller than one would ask for more decimals than a table is read with.
_MOST_DECIMALS = 8


def estimates(fit: Fit, ddf: str | None, options: dict[str, Any]) -> pd.DataFrame:
    """Estimates of the fixed effects of every predictor, with what may stand below them."""
    frame = tidy(fit, "fixed", ddf=ddf if is_linear(fit) else None, **options)
    if "component" not in frame:
        return frame.assign(part="fixed")
    parts = {label: "fixed" if name == MEAN else name for name, label in COMPONENTS.items()}
    return frame.assign(part=frame["component"].map(parts)).drop(columns="component")


@dataclass(frozen=True)
class Layout:
    """How estimates are written."""

    below: tuple[str, ...]
    digits: int
    stars: bool

    def coefficients(
        self, frames: Mapping[str, pd.DataFrame], part: str, labels: Mapping[str, str] | None
    ) -> tuple[Row, ...]:
        """Rows of every coefficient of a part of the models."""
        own = [_records(frame[frame["part"] == part]) for frame in frames.values()]
        if labels is None:
            labels = {term: term for term in dict.fromkeys(chain.from_iterable(own))}
        rows: list[Row] = []
        for term, label in labels.items():
            found = [records.get(term) for records in own]
            places = _places([x["std.error"] for x in found if x is not None], self.digits)
            rows.append(Row(label, tuple(self._estimate(x, places) for x in found)))
            for what in self.below:
                cells = tuple(Cell("" if x is None else _below(x, what, places)) for x in found)
                if any(cell.text for cell in cells):
                    rows.append(Row("", cells))
        return tuple(rows)

    def _estimate(self, found: Estimate | None, places: int) -> Cell:
        if found is None:
            return Cell()
        code = codes_of([found["p.value"]])[0] if self.stars and "p.value" in found else ""
        return Cell(_number(found["estimate"], places), code.replace(".", "+"))


def _records(frame: pd.DataFrame) -> dict[str, Estimate]:
    """Numbers of every term, by the columns of ``tidy``."""
    numbers = [str(name) for name in frame if name not in ("term", "effect", "part")]
    values = frame[numbers].to_numpy(dtype=float)
    terms = frame["term"].astype(str)
    return {term: dict(zip(numbers, row, strict=True)) for term, row in zip(terms, values.tolist(), strict=True)}


def _places(sizes: Sequence[float], digits: int) -> int:
    """Decimals by which the smallest of some sizes shows so many significant digits."""
    known = [abs(s) for s in sizes if math.isfinite(s) and s != 0.0]
    if not known:
        return digits
    return min(_MOST_DECIMALS, max(0, digits - 1 - math.floor(math.log10(min(known)))))


def _number(value: float, places: int) -> str:
    if not math.isfinite(value):
        return "" if math.isnan(value) else ("Inf" if value > 0 else "-Inf")
    text = f"{value:.{places}f}"
    return text.removeprefix("-") if float(text) == 0.0 else text


def _below(found: Estimate, what: str, places: int) -> str:
    if what == "conf.int":
        low, high = (_number(found[side], places) for side in ("conf.low", "conf.high"))
        return f"[{low}, {high}]" if low and high else ""
    value = found.get(what, math.nan)
    if math.isnan(value):
        return ""
    if what == "p.value":
        bound = 10.0**-_P_DECIMALS
        return f"p < {bound:.{_P_DECIMALS}f}" if value < bound else f"p = {value:.{_P_DECIMALS}f}"
    if what == "std.error":
        return f"({_number(value, places)})"
    if what == "df":
        return "" if math.isinf(value) else f"df = {value:.1f}"
    return f"{'z' if math.isinf(found.get('df', math.inf)) else 't'} = {value:.2f}"


def random_rows(models: Mapping[str, Fit], digits: int) -> tuple[Row, ...]:
    """Standard deviations and correlations, rows by what they are of."""
    found: dict[str, dict[str, float]] = {}
    deviations: set[str] = set()
    for name, fit in models.items():
        for predictor in _with_random(fit):
            rows = random_covariances(fit, predictor).to_frame()
            before = "" if predictor == MEAN else f"{predictor}, "
            for group, first, second, value in zip(rows["grp"], rows["var1"], rows["var2"], rows["sdcor"], strict=True):
                label = before + _random_label(str(group), first, second)
                found.setdefault(label, {})[name] = float(value)
                if second is None:
                    deviations.add(label)
    last = [label for label in found if label.startswith("Residual")]
    order = [*(label for label in found if label not in last), *last]
    out = []
    for label in order:
        values = found[label]
        places = _places(list(values.values()), digits) if label in deviations else _CORRELATION_DECIMALS
        out.append(Row(label, tuple(Cell(_number(values.get(name, math.nan), places)) for name in models)))
    return tuple(out)


def _with_random(fit: Fit) -> list[str]:
    """Predictors with random effects of their own, or residuals."""
    mean = [MEAN] if fit.model.design.random or fit.residual_sd is not None else []
    return mean + [name for name in further_names(fit) if own_terms(fit, name)]


def _random_label(group: str, first: str | None, second: str | None) -> str:
    if first is None:
        return f"{group}: SD"
    if second is None:
        return f"{group}: SD {shown(first)}"
    if second in ("cor", "log sd"):
        return f"{group}: {second} {shown(first)}"
    return f"{group}: cor {shown(first)}, {shown(second)}"


def statistic_rows(models: Mapping[str, Fit], statistics: Sequence[str]) -> tuple[Row, ...]:
    """Statistics of the fits; a row that none of them has is left out."""
    rows = []
    for what in statistics:
        if what == "groups":
            rows += _group_rows(models)
            continue
        values = [_statistic(fit, what) for fit in models.values()]
        places = 0 if what in _COUNTS else _SHARES.get(what, _CRITERIA_DECIMALS)
        if what in ("RMSE", "sigma"):
            places = _places(values, 3)
        if any(not math.isnan(value) for value in values):
            rows.append(Row(STATISTICS[what], tuple(Cell(_number(value, places)) for value in values)))
    return tuple(rows)


def _group_rows(models: Mapping[str, Fit]) -> list[Row]:
    every = {name: fit.model.design.every_random for name, fit in models.items()}
    counts = {
        name: {(r := random[t]).grouping.name: r.n_groups for t in term_order(random)} for name, random in every.items()
    }
    factors = dict.fromkeys(chain.from_iterable(counts.values()))
    return [
        Row(f"{STATISTICS['groups']}: {factor}", tuple(Cell(str(own.get(factor, ""))) for own in counts.values()))
        for factor in factors
    ]


def _statistic(fit: Fit, what: str) -> float:
    """A statistic of a fit; NaN where it has none, as the likelihood of quasi-likelihood."""
    try:
        return _computed(fit, what)
    except FitError:
        return math.nan


def _computed(fit: Fit, what: str) -> float:
    if what in ("R2m", "R2c"):
        found = r2(fit)
        return found.marginal if what == "R2m" else found.conditional
    if what == "ICC":
        return icc(fit).adjusted
    if what == "RMSE":
        return float((fit.residuals("response") ** 2).mean() ** 0.5)
    if what == "AICc":
        return aicc(fit.llf, fit.npar, fit.nobs)
    value = {"logLik": "llf", "AIC": "aic", "BIC": "bic", "sigma": "residual_sd"}.get(what, what)
    found_value = getattr(fit, value)
    return math.nan if found_value is None else float(found_value)
