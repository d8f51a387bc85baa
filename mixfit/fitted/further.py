"""What follows from the predictors after the mean's: the probability of a further zero, the dispersion of every row."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit

from mixfit.errors import FitError
from mixfit.families.several import DISPERSION, ZERO
from mixfit.fitted.linear_predictor import complete_variance, kept_columns, linear_predictor
from mixfit.fitted.predict import check_levels, predictors_of, rows_to_predict
from mixfit.fitted.protocols import is_generalized
from mixfit.fitted.re_form import select
from mixfit.matrices.types import MEAN
from mixfit.spellings import nearest
from mixfit.tables.layout import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit, GeneralizedFit
    from mixfit.fitted.re_form import ReForm
    from mixfit.glmm.types import FurtherEstimate

    Array = NDArray[np.float64]

# Of a predictor, for differences of a mean that its dispersion enters: a cube root of the rounding unit.
_STEP = float(np.cbrt(np.finfo(float).eps))
# A probability, or a relative excess of variance, that leaves no trace in the likelihood of a million rows.
_NOTHING = 1e-6
# What families are where their dispersion is at its bound.
_LIMITS = {
    "nbinom1": "poisson",
    "nbinom2": "poisson",
    "truncated_nbinom1": "truncated_poisson",
    "truncated_nbinom2": "truncated_poisson",
    "betabinomial": "binomial",
}
# What there is to predict.
_WHAT = ("response", "conditional", "zero", "dispersion", "link")

__all__ = [
    "dispersion_of",
    "further_deviations",
    "further_of",
    "further_predictor",
    "further_rows",
    "limit_notes",
    "mixed_moments",
    "part_gradient",
    "predict_part",
    "zero_of",
]


def further_of(fit: GeneralizedFit, name: str) -> FurtherEstimate:
    """The estimates of a predictor after the mean's.

    Raises
    ------
    FitError
        For one that the model does not have.
    """
    further = fit.estimate.further
    if name not in further:
        has = ", ".join(["mean", *further])
        raise FitError(f"The model has the predictors {has}, and none called {name!r}.")
    return further[name]


def further_deviations(fit: Fit, name: str) -> str:
    """What a summary says of the random effects of a predictor after the mean's; empty where it has none."""
    own = next(p for p in fit.model.design.further if p.name == name)
    parts = []
    templates = further_of(fit, name).templates if is_generalized(fit) else ()
    for term, template in zip(own.random, templates, strict=True):
        if not term.is_first:
            # Among those of the mean, with which they are correlated.
            continue
        deviations = np.sqrt(np.einsum("ij,ij->i", template, template))
        columns = ", ".join(f"{shown(c)} {d:.4g}" for c, d in zip(term.columns, deviations, strict=True))
        parts.append(f"{term.grouping.name}: {columns}")
    return f"Standard deviations of random effects: {'; '.join(parts)}" if parts else ""


def further_predictor(
    fit: GeneralizedFit, name: str, newdata: object = None, *, random: bool = True, allow_new_levels: bool = False
) -> Array:
    """Linear predictors of the rows of the fit, or of new ones, shape (m,).

    Parameters
    ----------
    fit : GeneralizedResults
    name : str
    newdata : frame, optional
    random : bool
        Whether random effects of this predictor are included.
    allow_new_levels : bool
        Whether a level that the fit never saw is predicted with a random effect of zero.

    Returns
    -------
    ndarray
    """
    rows = further_rows(fit, name, newdata, random=random, allow_new_levels=allow_new_levels)
    found = further_of(fit, name)
    return linear_predictor(rows.X, found.beta, rows.offset, rows.Z, rows.codes, found.modes)


class _Rows(NamedTuple):
    """Rows of one predictor: X without aliased columns, offset, and of every term the columns and levels, or None."""

    X: Array
    offset: Array
    Z: Sequence[Array | None]
    codes: Sequence[NDArray[np.intp] | None]

    def times(self, factor: Array) -> _Rows:
        """The rows of a predictor that is multiplied by a number in every row."""
        Z = [None if z is None else factor[:, None] * z for z in self.Z]
        return self._replace(X=factor[:, None] * self.X, Z=Z)


def further_rows(fit: GeneralizedFit, name: str, newdata: object, *, random: bool, allow_new_levels: bool) -> _Rows:
    """X without aliased columns, offset and random columns of a predictor, of the rows of the fit or of new ones."""
    kept, design = further_of(fit, name).kept, fit.model.design
    own = next(p for p in design.further if p.name == name)
    if newdata is None:
        offset = np.zeros(len(design.y)) if own.offset is None else own.offset
        Z = tuple(t.Z if random else None for t in own.random)
        codes = tuple(t.grouping.codes if random else None for t in own.random)
        return _Rows(own.X[:, kept], offset, Z, codes)
    wanted = tuple((random and p.name == name,) * len(p.random) for p in design.further)
    new = design.reader.read(newdata, (False,) * len(design.random), wanted)
    rows = next(p for p in new.further if p.name == name)
    if not allow_new_levels:
        check_levels(replace(new, Z=rows.Z, codes=rows.codes), own.random, newdata)
    return _Rows(rows.X[:, kept], rows.offset, rows.Z, rows.codes)


def limit_notes(fit: GeneralizedFit) -> list[str]:
    """What a summary says of parameters at the edge: no further zeros, and distributions that are others' limits."""
    notes = []
    zero = zero_of(fit)
    if zero is not None and float(zero.max()) < _NOTHING:
        notes.append(
            f"boundary fit: no further zeros (their probability is below {_NOTHING:g} in every row); the model is the "
            "one without zi=, whose coefficients have no meaning"
        )
    family, limit = fit.model.family, _LIMITS.get(fit.model.family.name)
    if limit is not None and family.has_dispersion:
        phi = np.asarray(dispersion_of(fit))
        # How far the variance is from that of the limit, relative: mu / phi, phi, m / phi.
        size = np.asarray(fit.response_link.mean(fit.estimate.eta)) if family.kind == "count" else fit.prior
        excess = phi if family.name.endswith("nbinom1") else size / phi
        if float(np.max(excess)) < _NOTHING:
            notes.append(f"boundary fit: the dispersion is at its limit, where {family.name} is {limit}")
    return notes


def zero_of(fit: GeneralizedFit) -> Array | None:
    """Probabilities of a further zero in the rows of the fit; None where none are modelled."""
    return expit(fit.estimate.further[ZERO].eta) if ZERO in fit.estimate.further else None


def dispersion_of(fit: GeneralizedFit, predictor: Array | None = None) -> Array | float:
    """phi of every row of the fit, or at values of its predictor; a number where it has none."""
    if DISPERSION not in fit.estimate.further:
        return fit.estimate.phi
    eta = fit.estimate.further[DISPERSION].eta if predictor is None else predictor
    out: Array = np.exp(fit.model.family.dispersion_power * eta)
    return out


def mixed_moments(fit: GeneralizedFit) -> tuple[Array, Array]:
    """E[y] and Var(y) of the rows of the fit, further zeros included."""
    family, eta, phi = fit.family, fit.estimate.eta, dispersion_of(fit)
    mean = family.expectation(eta, phi)
    variance = family.row_variance(fit.prior, family.link.mean(eta), phi)
    zero = zero_of(fit)
    if zero is None:
        return mean, variance
    return (1.0 - zero) * mean, (1.0 - zero) * (variance + zero * mean**2)


def predict_part(
    fit: GeneralizedFit, newdata: object, what: str, re_form: ReForm, allow_new_levels: bool, se: bool
) -> pd.Series[float] | pd.DataFrame:
    """Predictions of what `GeneralizedResults.predict` calls `what`."""
    further = fit.estimate.further
    if what not in _WHAT:
        raise FitError(f"what is one of {', '.join(map(repr, _WHAT))}, not {what!r}.{nearest(what, _WHAT)}")
    if what == "zero" and ZERO not in further:
        raise FitError("The model has no zi=, and so no probability of a further zero.")
    whole = re_form is None
    if not whole and select_any(re_form, fit) and any(f.modes for f in further.values()):
        raise FitError(
            "A re_form that keeps some random effects names those of the mean only, and zi= has some too: use None, "
            "for all, or 'population', for none."
        )
    selection = select(re_form, fit.model.design.random)
    read = rows_to_predict(fit, newdata, selection, allow_new_levels)
    rows = {MEAN: _Rows(read.X, read.offset, kept_columns(read.Z, selection), read.codes)}
    for name in further:
        rows[name] = further_rows(fit, name, newdata, random=whole, allow_new_levels=allow_new_levels)
    eta = {MEAN: predictors_of(fit, read, selection, False).eta}
    for name, found in further.items():
        own = rows[name]
        eta[name] = linear_predictor(own.X, found.beta, own.offset, own.Z, own.codes, found.modes)
    value, slopes = _value(fit, what, eta)
    if not se:
        return pd.Series(value, index=read.index)
    moved = [rows[name].times(slopes[name]) for name in rows]
    variance = complete_variance(
        fit.model,
        replace(fit.estimate, cov_beta=fit.estimate.cov_every_beta) if further else fit.estimate,
        np.column_stack([r.X for r in moved]),
        *_together(fit, moved),
    )
    for place, code, z in zip(read.own_variance, read.codes, rows[MEAN].Z, strict=False):
        if place is not None and code is not None and z is not None:
            variance = variance + slopes[MEAN] ** 2 * np.where(code >= 0, place, 0.0)
    if what == "dispersion" and DISPERSION not in further and fit.model.family.has_dispersion:
        power = 0.5 if fit.model.family.is_scaled else 1.0
        variance = variance + (power * value * fit.estimate.log_phi_error) ** 2
    return pd.DataFrame({"mean": value, "mean_se": np.sqrt(variance)}, index=read.index)


def _together(fit: GeneralizedFit, rows: Sequence[_Rows]) -> tuple[list[Array | None], list[NDArray[np.intp] | None]]:
    """Columns and levels of the random terms of all predictors, those that several share added up."""
    Z: list[Array | None] = []
    codes: list[NDArray[np.intp] | None] = []
    at: dict[tuple[str, str] | None, int] = {}
    for random, own in zip(fit.model.design.random_of.values(), rows, strict=True):
        for term, z, code in zip(random, own.Z, own.codes, strict=True):
            place = len(Z) if term.is_first else at[term.shared_key]
            if term.is_first:
                at[term.shared_key] = place
                Z.append(z)
                codes.append(code)
                continue
            before = Z[place]
            Z[place] = z if before is None else before if z is None else before + z
            codes[place] = code if codes[place] is None else codes[place]
    return Z, codes


def part_gradient(fit: GeneralizedFit, newdata: object, what: str) -> tuple[Array, Array]:
    """What `predict_part` gives at random effects of zero, and its derivatives in the coefficients.

    Parameters
    ----------
    fit : GeneralizedResults
    newdata : frame, or None
        Rows to predict; those of the fit for None.
    what : str

    Returns
    -------
    ndarray, shape (m,), and ndarray, shape (m, p)
        p the coefficients of all predictors, in the order of ``estimate.cov_every_beta``.

    Raises
    ------
    FitError
        As `predict_part`.
    """
    if what not in _WHAT:
        raise FitError(f"what is one of {', '.join(map(repr, _WHAT))}, not {what!r}.")
    if what == "zero" and ZERO not in fit.estimate.further:
        raise FitError("The model has no zi=, and so no probability of a further zero.")
    selection = select("population", fit.model.design.random)
    read = rows_to_predict(fit, newdata, selection, True)
    X, eta = {MEAN: read.X}, {MEAN: predictors_of(fit, read, selection, False).eta}
    for name, found in fit.estimate.further.items():
        own = further_rows(fit, name, newdata, random=False, allow_new_levels=True)
        X[name], eta[name] = own.X, own.X @ found.beta + own.offset
    value, slopes = _value(fit, what, eta)
    return value, np.column_stack([slopes[name][:, None] * X[name] for name in X])


def _value(fit: GeneralizedFit, what: str, eta: Mapping[str, Array]) -> tuple[Array, dict[str, Array]]:
    """What is predicted from the predictors of rows, and its derivative in each of them."""
    family, mean = fit.family, eta[MEAN]
    zero = {name: np.zeros(len(mean)) for name in eta}
    phi = np.asarray(dispersion_of(fit, eta.get(DISPERSION)))
    if what == "link":
        return mean, {**zero, MEAN: np.ones(len(mean))}
    if what == "dispersion":
        power = 0.5 if family.is_scaled else 1.0
        value = np.broadcast_to(phi**power, mean.shape)
        slope = power * family.dispersion_power * value
        return value, zero if DISPERSION not in eta else {**zero, DISPERSION: slope}
    p, rest = (expit(eta[ZERO]), expit(-eta[ZERO])) if ZERO in eta else (zero[MEAN], np.ones(len(mean)))
    if what == "zero":
        return p, {**zero, ZERO: p * rest}
    value, slope = family.response(mean, phi)
    slopes = {**zero, MEAN: slope}
    if _needs_dispersion(fit):
        ahead, behind = (
            family.response(mean, np.asarray(dispersion_of(fit, eta[DISPERSION] + step)))[0] for step in (_STEP, -_STEP)
        )
        slopes[DISPERSION] = (ahead - behind) / (2.0 * _STEP)
    if what == "response" and ZERO in eta:
        slopes = {name: rest * s for name, s in slopes.items()} | {ZERO: -p * rest * value}
        value = rest * value
    return value, slopes


def select_any(re_form: ReForm, fit: GeneralizedFit) -> bool:
    """Whether a form keeps any random effect of the mean."""
    return any(bool(keep.any()) for keep in select(re_form, fit.model.design.random))


def _needs_dispersion(fit: GeneralizedFit) -> bool:
    """Whether the mean response depends on a dispersion that is predicted."""
    family = fit.model.family
    return DISPERSION in fit.estimate.further and family.response_link(1.0) is not family.link
