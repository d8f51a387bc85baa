"""A second look: whether searches from other places end lower, or at the same minimum, at a few evaluations each.

A criterion of variances may have several minima, and its derivatives at one of them say nothing of the others. The
value at a place tells something of what lies there: other places are searched from, the lowest first, and only until it
is clear where they lead. Where one leads elsewhere there are several minima, and all places are worth a search.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.optimize.criterion import values
from mixfit.optimize.descent import Descent, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mixfit.optimize.criterion import AnyLocal, Criterion, Found, Place
    from mixfit.optimize.descent import Optimum

__all__ = ["look_again", "search_from_all"]

# Evaluations of all searches together after which none goes on, unless it has found a lower place.
_MOST = 46
# Evaluations after which a search waits for the others: of random models one in fifty has not arrived by then, along a
# way that others may cut short.
_LONG = 16
# What lies below a place may be more than a step promises, by this factor.
_TIMES = 10.0
# Steps after which a search that promises no place below the best has led nowhere, and those after which it is let go.
_FEW_STEPS = 5
_MANY_STEPS = 25


def search_from_all(
    criterion: Criterion[Place, Found, AnyLocal],
    places: Sequence[Place],
    same: Callable[[Found, Found], bool],
    *,
    only_below: bool = False,
    agreeing: int = 1,
) -> Optimum[Found, AnyLocal]:
    """The best minimum that searches from places lead to; its certificate says from how many.

    The lowest place is searched from, and then the others.

    Parameters
    ----------
    criterion : Criterion
    places : sequence of places
        At some of them the criterion may have no value.
    same : callable
        Whether two places are so close that a search from one ends at the other.
    only_below : bool
        Whether only places below the first minimum are worth another search.
    agreeing : int
        How many other searches that agree with the first are enough.

    Returns
    -------
    Optimum

    Raises
    ------
    FitError
        As `mixfit.optimize.descent.minimize`.
    """
    lowest, *others = values(criterion, places)
    found = [lowest, *(place for place in others if np.isfinite(place.value))]
    n_places = len(places)
    best = _begun(criterion, found[0])
    searches, several, agreed = [best], False, 0
    for at in found[1:]:
        left = _MOST - n_places - sum(s.n_evaluations for s in searches)
        if left < _FEW_STEPS or (only_below and at.value >= best.found.value):
            break
        search = Descent(criterion, at, 0)
        searches.append(search)
        _follow(search, best.found, same, left)
        if same(search.found, best.found):
            agreed += 1
            if agreed == agreeing and not several:
                break
        elif search.found.value < best.found.value - criterion.tolerance(best.found):
            best, several = _continued(search), True
        else:
            several = True
    run(best)
    optimum = best.optimum()
    certificate = replace(
        optimum.certificate,
        n_evaluations=n_places + sum(s.n_evaluations for s in searches) + criterion.n_aside,
        n_starts=len(searches),
        n_agreeing=sum(s is best or same(s.found, best.found) for s in searches),
    )
    return replace(optimum, certificate=certificate)


def _begun(criterion: Criterion[Place, Found, AnyLocal], found: Found) -> Descent[Place, Found, AnyLocal]:
    """A search from a place, to its end unless that is far."""
    return _continued(Descent(criterion, found, 0))


def _continued(search: Descent[Place, Found, AnyLocal]) -> Descent[Place, Found, AnyLocal]:
    while search.n_evaluations < _LONG and search.advance():
        pass
    return search


def look_again(
    first: Descent[Place, Found, AnyLocal],
    criterion: Criterion[Place, Found, AnyLocal],
    places: Iterable[tuple[Callable[[], Place], float]],
    same: Callable[[Found, Found], bool],
) -> Optimum[Found, AnyLocal]:
    """The best of the minimum that a search has found and those that other searches lead to.

    Parameters
    ----------
    first : Descent
        At its end.
    criterion : Criterion
    places : iterable of (callable, float)
        Where to look from, which may raise FitError where there is no such place; and the evaluations, as a share of
        those of the first search, after which a search from there does not go on unless it is below.
    same : callable
        Whether two places are so close that a search from one ends at the other.

    Returns
    -------
    Optimum
    """
    before = first.n_evaluations + criterion.n_aside
    best, searches = first, [first]
    for place, share in places:
        try:
            other = Descent(criterion, criterion.evaluate(place()))
        except FitError:
            continue
        spent = sum(s.n_evaluations for s in searches) + criterion.n_aside
        searches.append(other)
        _follow(other, best.found, same, max(_FEW_STEPS, min(int(share * before), _MOST - spent)))
        if other.found.value < best.found.value - criterion.tolerance(best.found):
            with suppress(FitError):
                run(other)
                best = other if other.optimum().certificate.converged else best
    optimum = best.optimum()
    if len(searches) == 1:
        return optimum
    certificate = replace(
        optimum.certificate,
        n_evaluations=sum(s.n_evaluations for s in searches) + criterion.n_aside,
        n_starts=len(searches),
        n_agreeing=sum(s is best or same(s.found, best.found) for s in searches),
    )
    return replace(optimum, certificate=certificate)


def _follow(
    search: Descent[Place, Found, AnyLocal],
    best: Found,
    same: Callable[[Found, Found], bool],
    most: int,
) -> None:
    """Step until it is clear where the search leads: below the best, to it, or to the end.

    One that passes a saddle promises little for a while.
    """
    for step in range(_MANY_STEPS):
        if search.found.value < best.value or same(search.found, best) or search.n_evaluations >= most:
            return
        hopeless = search.found.value - _TIMES * search.promise > best.value and not search.is_at_saddle
        if step >= _FEW_STEPS and hopeless:
            return
        try:
            if not search.advance():
                return
        except FitError:
            return
