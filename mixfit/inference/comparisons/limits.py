"""Models that others contain at the edge of a parameter: no further zeros, and distributions that are limits.

Where one parameter of the larger model lies on its bound under the smaller one, and all others are inside, twice the
log-likelihood ratio is zero half of the time, and chi-square of the degrees of freedom the other half that the larger
model has more: 0.5 chi2(k - 1) + 0.5 chi2(k) (Self & Liang 1987, JASA 82, 605-610, case 6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtrc

from mixfit.errors import ComparisonError
from mixfit.families.several import ZERO
from mixfit.gram.basis import fixed_basis
from mixfit.inference.comparisons.candidates import outside, outside_columns
from mixfit.matrices.types import MEAN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.inference.comparisons.candidates import Candidate
    from mixfit.matrices.types import Predictor

__all__ = ["bounded", "check_known", "check_predictors", "is_limit", "known_effects", "mixed_tail"]

# Families whose dispersion, at its bound, makes another of them.
_LIMITS = {
    ("poisson", "nbinom1"),
    ("poisson", "nbinom2"),
    ("truncated_poisson", "truncated_nbinom1"),
    ("truncated_poisson", "truncated_nbinom2"),
    ("binomial", "betabinomial"),
}


def is_limit(a: str, b: str) -> bool:
    """Whether one of two families, with one link, is the limit of the other, whichever has more parameters."""
    first, second = (text.rstrip(")").partition("(") for text in (a, b))
    names = first[0], second[0]
    return first[2] == second[2] and (names in _LIMITS or names[::-1] in _LIMITS)


def check_predictors(smaller: Candidate, larger: Candidate) -> None:
    """Refuse a pair whose predictors after the mean's are not nested.

    Raises
    ------
    ComparisonError
        Naming the predictor, and what the larger model lacks of it.
    """
    theirs = {p.name: p for p in _further(larger)}
    for own in _further(smaller):
        other = theirs.get(own.name)
        if other is None:
            raise ComparisonError(
                f"{smaller.name} is not nested in {larger.name}, which has no {own.name}=. Compare their AIC instead."
            )
        alien = outside_columns(other.X, _independent(own))
        terms = outside(other.random, own.random)
        if alien.any() or terms:
            raise ComparisonError(
                f"{smaller.name} is not nested in {larger.name}: {own.name}= of {larger.name} does not contain that of "
                f"{smaller.name}. Compare their AIC instead."
            )


def check_known(smaller: Candidate, larger: Candidate) -> None:
    """Refuse a pair whose larger model knows fixed effects that the smaller one does not hold at the same values.

    Raises
    ------
    ComparisonError
        Naming them.
    """
    held = known_effects(smaller)
    alien = [name for name, value in known_effects(larger).items() if held.get(name) != value]
    if alien:
        raise ComparisonError(
            f"{smaller.name} is not nested in {larger.name}, where fixed= holds {', '.join(map(repr, alien))}. "
            "Compare their AIC instead."
        )


def known_effects(model: Candidate) -> dict[str, float]:
    """Fixed effects that are known, by name; those of the mean by that of their column."""
    known = {} if model.fit is None else model.fit.model.known_effects
    return {name.removeprefix(f"{MEAN}:"): value for name, value in known.items()}


def bounded(smaller: Candidate, larger: Candidate) -> tuple[bool, str]:
    """Whether one parameter alone of the larger model is on a bound under the smaller one, and a note on it.

    The note is empty where none is.
    """
    what = []
    added = [p for p in _further(larger) if p.name == ZERO and all(own.name != ZERO for own in _further(smaller))]
    if added:
        what.append("there are no further zeros")
    if is_limit(smaller.family, larger.family):
        what.append(f"{larger.family.partition('(')[0]} is {smaller.family.partition('(')[0]}")
    if not what:
        return False, ""
    where = f"under {smaller.name} {' and '.join(what)}, at the edge of a parameter of {larger.name}"
    whole = bool(added) and (added[0].X.shape[1] > 1 or bool(added[0].random))
    if len(what) > 1 or whole:
        reason = "two of them are there" if len(what) > 1 else "the other coefficients of zi= mean nothing there"
        return False, f"{where}; {reason}, and the p-value of a chi-square variable is too large"
    return (
        True,
        f"{where}: the p-value is of half a chi-square variable of one degree of freedom less and half of all",
    )


def mixed_tail(statistic: float, df: float) -> float:
    """Upper tail of 0.5 chi2(df - 1) + 0.5 chi2(df)."""
    if statistic <= 0.0:
        return 1.0
    below = chdtrc(df - 1.0, statistic) if df > 1.0 else 0.0
    return float(0.5 * below + 0.5 * chdtrc(df, statistic))


def _further(model: Candidate) -> tuple[Predictor, ...]:
    if model.fit is None or model.family == "linear":
        return ()
    further: tuple[Predictor, ...] = model.fit.model.design.further
    return further


def _independent(predictor: Predictor) -> NDArray[np.float64]:
    return np.asarray(predictor.X[:, fixed_basis(np.ascontiguousarray(predictor.X.T)).kept])
