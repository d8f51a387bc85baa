"""Random effects and responses drawn from a fit: all replicates in one array operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from mixfit.arguments import check_count
from mixfit.errors import FitError
from mixfit.families.several import DISPERSION, ZERO
from mixfit.fitted.further import dispersion_of
from mixfit.fitted.linear_predictor import term_effect, training_predictor
from mixfit.fitted.protocols import is_generalized
from mixfit.fitted.re_form import select
from mixfit.fitted.residual_covariance import is_structured, residual_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.structure import Structure
    from mixfit.fitted.protocols import Fit, GeneralizedFit
    from mixfit.fitted.re_form import ReForm
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]
    # Effects (q, k, n) of terms that several predictors share, by their key.
    SharedEffects = dict[tuple[str, str], Array]

__all__ = [
    "add_noise",
    "draw_effects",
    "draw_predictors",
    "draw_rows",
    "held_terms",
    "independent",
    "related",
]


def draw_effects(
    mean: Array,
    random: Sequence[RandomDesign],
    templates: Sequence[Array],
    unit: float,
    n: int,
    rng: np.random.Generator,
    shared: SharedEffects | None = None,
) -> Array:
    """Draw ``mean + sum_t Z_t b_t`` with b ~ N(0, unit**2 T T').

    Parameters
    ----------
    mean : ndarray, shape (m,)
        Fixed part, offset and whatever random effects are conditioned on.
    random : sequence of RandomDesign
        Terms to draw anew.
    templates : sequence of ndarray, shape (k_t, k_t)
        Factors of these terms.
    unit : float
        What the factors are relative to.
    n : int
        Number of replicates.
    rng : Generator
    shared : dict, optional
        Effects of terms that are drawn already, to which those drawn here are added.

    Returns
    -------
    ndarray, shape (m, n)
        A column a replicate.

    Examples
    --------
    >>> draw_effects(np.zeros(4), [], [], 1.0, 2, np.random.default_rng(1)).shape
    (4, 2)
    """
    out = np.repeat(mean[:, None], n, axis=1)
    for term, template in zip(random, templates, strict=True):
        effects = None if shared is None or term.shared_key is None else shared.get(term.shared_key)
        if effects is None:
            spherical = rng.standard_normal((term.grouping.n_levels, len(term.columns), n))
            effects = unit * related(term.structure, np.einsum("ij,qjr->qir", template, spherical))
            if shared is not None and term.shared_key is not None:
                shared[term.shared_key] = effects
        out += term_effect(term.Z, term.grouping.codes, effects)
    return out


def related(structure: Structure, effects: Array) -> Array:
    """Independent effects (q, k, n) as those of levels that are related, where they are."""
    known = structure.relationship
    return effects if known is None else np.moveaxis(known.effects(np.moveaxis(effects, 0, -1)), -1, 0)


def independent(structure: Structure, effects: Array) -> Array:
    """What `related` is made of: effects (q, k) as independent ones."""
    known = structure.relationship
    return effects if known is None else known.increments_of(effects.T).T


def add_noise(predictors: Array, sigma: float, weights: Array | None, rng: np.random.Generator) -> Array:
    """Add e ~ N(0, sigma**2 / w) to every column.

    Parameters
    ----------
    predictors : ndarray, shape (m, n)
    sigma : float
        Residual standard deviation of an observation of weight 1.
    weights : ndarray, shape (m,), or None
    rng : Generator

    Returns
    -------
    ndarray, shape (m, n)

    Examples
    --------
    >>> bool(add_noise(np.zeros((2, 3)), 0.0, None, np.random.default_rng(1)).any())
    False
    """
    noise = rng.standard_normal(predictors.shape)
    noise *= sigma if weights is None else (sigma / np.sqrt(weights))[:, None]
    return predictors + noise


def held_terms(random: Sequence[RandomDesign], re_form: ReForm) -> list[bool]:
    """Which terms a simulation holds at their modes.

    Raises
    ------
    FitError
        Where `re_form` keeps only some columns of a term: the others would be drawn given these.
    """
    selection = select(re_form, random)
    for term, keep in zip(random, selection, strict=True):
        if keep.any() and not keep.all():
            raise FitError(f"simulate holds whole terms at their modes: re_form names only a part of {term.text}")
    return [bool(keep.any()) for keep in selection]


def draw_predictors(
    fit: Fit, n: int, re_form: ReForm, rng: np.random.Generator, shared: SharedEffects | None = None
) -> Array:
    """Linear predictors with new random effects, but for the terms that `re_form` holds: (nobs, n).

    `shared` gets the effects, drawn or held, of terms that other predictors share.
    """
    check_count("n", n)
    random, templates = fit.model.design.random, fit.estimate.templates
    selection, kept = select(re_form, random), held_terms(random, re_form)
    fresh = [t for t, keep in enumerate(kept) if not keep]
    held, new = training_predictor(fit, selection), [random[t] for t in fresh]
    if shared is not None:
        for term, mode, keep in zip(random, fit.estimate.modes, kept, strict=True):
            if keep and term.shared_key is not None:
                shared[term.shared_key] = mode[:, :, None]
    return draw_effects(held, new, [templates[t] for t in fresh], fit.estimate.unit, n, rng, shared)


def draw_rows(fit: Fit, n: int, re_form: ReForm, rng: np.random.Generator) -> Array:
    """Responses of the rows of the fit, (nobs, n), with new random effects but for the terms that `re_form` holds.

    Those of the predictors after the mean's are held where `re_form` holds all, or what they share with the mean.
    """
    shared: SharedEffects = {}
    predictors, held = draw_predictors(fit, n, re_form, rng, shared), re_form is None
    if is_generalized(fit):
        family, n = fit.family, predictors.shape[1]
        phi = fit.row_dispersion
        if DISPERSION in fit.estimate.further:
            phi = np.transpose(dispersion_of(fit, _further_draws(fit, DISPERSION, n, rng, shared, held=held)))
        # Replicates as rows, since prior weights broadcast on the last axis.
        drawn = family.simulate(family.link.mean(predictors).T, fit.prior, phi, rng).T
        if ZERO not in fit.estimate.further:
            return drawn
        zero = expit(_further_draws(fit, ZERO, n, rng, shared, held=held))
        return np.where(rng.uniform(size=drawn.shape) < zero, 0.0, drawn)
    if is_structured(fit):
        return predictors + residual_noise(fit, predictors.shape[1], rng)
    return add_noise(predictors, fit.sigma, fit.model.design.weights, rng)


def _further_draws(
    fit: GeneralizedFit, name: str, n: int, rng: np.random.Generator, shared: SharedEffects, *, held: bool
) -> Array:
    """Values of a predictor after the mean's, (nobs, n), or (nobs, 1) where its random effects are not drawn anew."""
    found, own = fit.estimate.further[name], next(p for p in fit.model.design.further if p.name == name)
    if held or not found.modes:
        return found.eta[:, None]
    fixed = own.X[:, found.kept] @ found.beta + (0.0 if own.offset is None else own.offset)
    return draw_effects(fixed, own.random, found.templates, 1.0, n, rng, shared)
