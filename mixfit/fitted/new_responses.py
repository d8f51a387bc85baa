"""Responses simulated at other rows than those of the fit, whose random terms may have new levels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy.special import expit

from mixfit.arguments import check_count, row_weights
from mixfit.errors import FitError
from mixfit.families.several import DISPERSION, ZERO
from mixfit.fitted.draws import add_noise, held_terms, related
from mixfit.fitted.further import dispersion_of, further_predictor
from mixfit.fitted.linear_predictor import term_effect
from mixfit.fitted.predict import estimable_rows
from mixfit.fitted.protocols import is_generalized
from mixfit.fitted.residual_covariance import is_structured

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from mixfit.fitted.draws import SharedEffects
    from mixfit.fitted.protocols import Fit
    from mixfit.fitted.re_form import ReForm
    from mixfit.matrices.new_rows import NewDesign, NewPredictor
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]
    Codes = NDArray[np.intp]

__all__ = ["LevelDraws", "NewLevels", "draw_new_predictors", "draw_new_responses", "new_weights"]

#: What the effects of a level are that the fit never saw and `re_form` holds: drawn, or zero.
NewLevels = Literal["sample", "zero"]


@dataclass(frozen=True, eq=False)
class LevelDraws:
    """How effects are drawn: of `n` replicates, and for levels of held terms that the fit never saw.

    `shared` has the effects of terms that several predictors share, of the levels that the rows have.
    """

    n: int
    new_levels: NewLevels
    rng: np.random.Generator
    shared: SharedEffects = field(default_factory=dict)

    def effects(
        self,
        rows: NewPredictor,
        terms: Sequence[RandomDesign],
        codes: Sequence[Codes],
        templates: Sequence[Array],
        modes: Sequence[Array],
        held: Sequence[bool],
    ) -> Array:
        """Sum of the random effects of the rows of a predictor, (m, n); `templates` in its own unit."""
        total = np.zeros((len(rows.X), self.n))
        for term, z, code, template, mode, keep in zip(terms, rows.Z, codes, templates, modes, held, strict=True):
            assert z is not None
            present, place = np.unique(code[code >= 0], return_inverse=True)
            compact = np.full(len(code), -1, dtype=np.intp)
            compact[code >= 0] = place
            effects = None if term.shared_key is None else self.shared.get(term.shared_key)
            if effects is None:
                effects = self.of_levels(term, present, template, mode, keep)
                if term.shared_key is not None:
                    self.shared[term.shared_key] = effects
            part = term_effect(z, compact, effects)
            part[code < 0] = np.nan
            total += part
        return total

    def of_levels(self, term: RandomDesign, present: Codes, template: Array, mode: Array, keep: bool) -> Array:
        """Effects of a term in the levels that are present, (q, k, n)."""
        among, known = term.structure.relationship, present < term.grouping.n_levels
        q = len(present) if among is None else term.grouping.n_levels
        spherical = self.rng.standard_normal((q, len(template), self.n))
        effects = related(term.structure, np.einsum("ij,qjr->qir", template, spherical))
        if among is not None:
            effects = effects[present]
        if keep:
            effects[known] = mode[present[known]][:, :, None]
            if self.new_levels == "zero":
                effects[~known] = 0.0
        return effects


class NewPredictors(NamedTuple):
    """Linear predictors of new rows with effects drawn.

    Attributes
    ----------
    eta : ndarray, shape (m, n)
        Of the mean, a column a replicate.
    further : dict of str to ndarray, shape (m, n)
        Of the predictors after the mean's, by name.
    labels : pandas.Index, shape (m,)
    """

    eta: Array
    further: dict[str, Array]
    labels: pd.Index


def draw_new_predictors(
    fit: Fit, newdata: object, n: int, *, re_form: ReForm, new_levels: NewLevels, rng: np.random.Generator
) -> NewPredictors:
    """Linear predictors of `newdata` with effects drawn for every level that its rows have.

    Of terms that `re_form` holds only for levels that the fit never saw.
    """
    check_count("n", n)
    if new_levels not in ("sample", "zero"):
        raise FitError(f"new_levels is 'sample' or 'zero', not {new_levels!r}")
    design, estimate, draws = fit.model.design, fit.estimate, LevelDraws(n, new_levels, rng)
    held = held_terms(design.random, re_form)
    new = design.reader.read(newdata, (True,) * len(held), tuple((True,) * len(p.random) for p in design.further))
    _refuse_places(new, design.random)
    terms = (design.random, *(p.random for p in design.further))
    sizes = tuple(tuple(term.grouping.n_levels for term in own) for own in terms)
    codes = design.reader.read_levels(newdata, sizes)
    templates = [estimate.unit * template for template in estimate.templates]
    eta = (estimable_rows(fit.model, new.X) @ estimate.beta + new.offset)[:, None]
    eta = eta + draws.effects(new.predictors[0], design.random, codes[0], templates, estimate.modes, held)
    further = {}
    for place, predictor in enumerate(design.further):
        if predictor.name not in estimate.further:
            # Nominal and scale columns of ordered categories, which the family has.
            continue
        found, own = estimate.further[predictor.name], terms[place + 1]
        every = [re_form is None] * len(own)
        assert is_generalized(fit)
        fixed = further_predictor(fit, predictor.name, newdata, random=False)[:, None]
        drawn = draws.effects(new.further[place], own, codes[place + 1], found.templates, found.modes, every)
        further[predictor.name] = fixed + drawn
    return NewPredictors(eta, further, new.index)


def draw_new_responses(
    fit: Fit,
    newdata: object,
    n: int,
    *,
    re_form: ReForm,
    new_levels: NewLevels,
    weights: ArrayLike | None,
    rng: np.random.Generator,
) -> tuple[Array, pd.Index]:
    """Responses at the rows of `newdata`, a column a replicate: (m, n), and the names of the rows."""
    if is_structured(fit):
        raise FitError(
            "simulate(newdata=) has no residuals of new rows where residual= or dispersion= structures them: simulate "
            "the rows of the fit."
        )
    eta, further, index = draw_new_predictors(fit, newdata, n, re_form=re_form, new_levels=new_levels, rng=rng)
    prior = new_weights(fit, newdata, weights, len(eta))
    if not is_generalized(fit):
        return add_noise(eta, fit.sigma, prior, rng), index
    whole = np.isfinite(eta).all(axis=1) & np.isfinite(prior)
    phi = fit.row_dispersion
    if DISPERSION in further:
        whole &= np.isfinite(further[DISPERSION]).all(axis=1)
        phi = np.asarray(dispersion_of(fit, further[DISPERSION]))[whole].T
    drawn = np.full(eta.shape, np.nan)
    # Replicates as rows, since prior weights broadcast on the last axis.
    family = fit.family_of(newdata, keep=whole)
    drawn[whole] = family.simulate(family.link.mean(eta[whole]).T, prior[whole], phi, rng).T
    if ZERO not in further:
        return drawn, index
    hit = (rng.uniform(size=drawn.shape) < expit(further[ZERO])) & ~np.isnan(drawn)
    return np.where(hit, 0.0, drawn), index


def new_weights(fit: Fit, newdata: object, weights: ArrayLike | None, m: int) -> Array:
    """Prior weights of new rows, shape (m,): those given, or from the columns that the fit had them from.

    NaN for a row of weight zero, which the fit would leave out.
    """
    own = fit.model.design.reader.read_weights(newdata) if weights is None else None
    return row_weights(weights, None if own is None else np.where(own > 0.0, own, np.nan), m)


def _refuse_places(new: NewDesign, random: Sequence[RandomDesign]) -> None:
    for term, place in zip(random, new.places, strict=False):
        if place is not None:
            raise FitError(
                f"{term.text}: simulate(newdata=) draws the effects of places and times that the fit has, and "
                f"{len(place.rows)} row(s) are at others. predict(se=True) and get_prediction know these."
            )
