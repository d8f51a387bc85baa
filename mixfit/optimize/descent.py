r"""The search for a minimum: one kernel of Newton and quasi-Newton steps for every criterion that is minimized.

What is minimized is handed over as a `Criterion`: values at places, and there a gradient, a cheap curvature and, at
a price, the exact second derivatives. The kernel knows numbers alone. It steps by

- the cheap curvature, made anew at every place and rescaled by the balanced model (see `mixfit.optimize.steps`), far
  out and as long as it serves;
- what quasi-Newton updates make of it, where exact derivatives are dear;
- the exact second derivatives in a region of trust, where the others creep and to finish; dear ones of a place are
  updated by the steps from there, indefinite as they may be.

Variances at zero are left along their one-sided derivative, and others may go there: a place may have fewer
coordinates than the one before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Generic

import numpy as np

from mixfit import log
from mixfit.errors import FitError
from mixfit.optimize.bounds import CREEPING, LONGEST_STEP
from mixfit.optimize.certificate import COARSEST, TOLERANCE, Certificate
from mixfit.optimize.criterion import AnyLocal, Found, Place, Price, values
from mixfit.optimize.ends import Patience, endless_step, together, vanishing_pivots
from mixfit.optimize.quasi_newton import bfgs, positive, symmetric_rank_one
from mixfit.optimize.steps import compensated, newton_step, scaled_step
from mixfit.optimize.trust_region import TrustRegion, quadratic_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mixfit.optimize.certificate import BoundaryParameter
    from mixfit.optimize.criterion import Criterion
    from mixfit.optimize.trust_region import QuadraticModel

    Array = NDArray[np.float64]

__all__ = ["Descent", "Optimum", "descend", "minimize", "run"]

# No model of any kind has needed a third of these.
_MAX_ITERATIONS = 200
# Steps are cut in half this often: to a part in 3e7, below which a step is rounding.
_MAX_HALVINGS = 25
# Variances off the boundary are tried in quarters, each half a standard deviation.
_LESS = 0.25
# The promised decrease below which dear second derivatives pay: Newton's next step then ends the search.
_NEAR = 1e-6
# That above which the memory of quasi-Newton steps is worth less than a new cheap curvature, and dear second
# derivatives do not describe the way down.
_FAR = 0.1
# Iterations after which it is not: from there a cheap curvature, as of factor models of counts, leads on for ever.
_LONG = 10
# Iterations after which dear second derivatives are worth their price from farther and farther away.
_PATIENCE = 20
# Steps cut more often than this say that the cheap curvature is wrong there.
_FEW_CUTS = 2
# Steps in a row that leave more than this of the promise say that updates have nothing to tell of the way: it bends
# down where they are positive definite by construction. One or two such steps are common on the way in; and of many
# coordinates it takes half as many steps, as exact second derivatives take an evaluation or two of each.
_SLOW = 0.5
_MANY_SLOW = 3
# Share of the tolerance at which the search stops without one step more: where the exact second derivatives are at hand
# the last digits cost no more than that, and where they are of this very place Newton's step squares what is left. By
# cheap curvatures one step more, of every other search, takes 1e-4 of a standard error to some 1e-5.
_LAST_DIGITS = {Price.FREE: 1e-5, Price.DEAR: 1e-3, Price.CHEAP: 1e-2}
# What further steps must leave at most of the promise to be worth another: none where they are dear.
_HALVED = {Price.FREE: 0.5, Price.DEAR: 0.0, Price.CHEAP: 0.0}

# Steps in a row that were cut at places without a value: what is sought lies beyond them.
_MANY_BARRED = 8

CONVERGED = "optimality conditions hold"
_BLURRED = "the criterion is not known well enough: the ratios of the variances are too large for double precision"


@dataclass(frozen=True, eq=False)
class Optimum(Generic[Found, AnyLocal]):
    """Where the search stopped.

    Attributes
    ----------
    found
        The place with its value.
    local : Local
    curvature : ndarray, shape (m, m)
        The curvature that the search had there, positive definite; `is_exact` says whether it is the criterion's own.
    is_exact : bool
    certificate : Certificate
    """

    found: Found
    local: AnyLocal
    curvature: Array
    is_exact: bool
    certificate: Certificate


def minimize(criterion: Criterion[Place, Found, AnyLocal], starts: Sequence[Place]) -> Optimum[Found, AnyLocal]:
    """Minimize from the best of `starts`.

    Parameters
    ----------
    criterion : Criterion
    starts : sequence of places
        At some of them the criterion may have no value.

    Returns
    -------
    Optimum

    Raises
    ------
    FitError
        Where the criterion has no finite value at any start, or at no place that a step leads to.
    """
    return descend(criterion, values(criterion, starts)[0], len(starts))


def descend(
    criterion: Criterion[Place, Found, AnyLocal], found: Found, n_evaluations: int = 1
) -> Optimum[Found, AnyLocal]:
    """Minimize from a place whose value is known; `n_evaluations` led there."""
    return run(Descent(criterion, found, n_evaluations)).optimum()


def run(search: Descent[Place, Found, AnyLocal]) -> Descent[Place, Found, AnyLocal]:
    """Let a search go on to its end."""
    for _ in range(_MAX_ITERATIONS):
        if not search.advance():
            break
    return search


class _Kind(Enum):
    CHEAP = 1
    UPDATED = 2
    EXACT = 3
    SECANT = 4

    @property
    def may_be_indefinite(self) -> bool:
        """Whether steps are made in a region of trust."""
        return self in (_Kind.EXACT, _Kind.SECANT)


class Descent(Generic[Place, Found, AnyLocal]):
    """A search that goes on step by step.

    Parameters
    ----------
    criterion : Criterion
    found
        A place with its value, to start from.
    n_evaluations : int
        Evaluations that led there.
    """

    def __init__(self, criterion: Criterion[Place, Found, AnyLocal], found: Found, n_evaluations: int = 1) -> None:
        if not np.isfinite(found.value):
            raise FitError("The log-likelihood is not finite at the start values: rescale the covariates.")
        log.search_begins(found.value, n_evaluations)
        self._criterion = criterion
        self.found = found
        self.local = criterion.local(found)
        self.n_evaluations = n_evaluations
        self.message = "iteration limit"
        self._iterations = 0
        self._patience = Patience()
        self._region = TrustRegion()
        self._last = np.inf
        self._creeps = self._sharpened = False
        self._slow = self._barred = 0
        self._bar: FitError | None = None
        self._arrived = self._made_at = np.inf
        self._use(self.local.curvature, _Kind.CHEAP)
        if criterion.price is Price.FREE:
            self._sharpen()

    # Curvature

    def _use(self, curvature: Array, kind: _Kind) -> None:
        """Take a curvature for the steps from here, and say what they promise."""
        self._kind, self._curvature = kind, curvature
        self._model: QuadraticModel | None = None
        g = self.local.gradient
        if kind.may_be_indefinite:
            unit = self.local.unit
            self._model = quadratic_model(curvature / np.outer(unit, unit), g / unit)
            self._full, self.decrease = g, self._model.step(LONGEST_STEP)[1]
        else:
            self._full, self.decrease = newton_step(curvature, g)

    def _sharpen(self) -> None:
        try:
            hessian = self._criterion.hessian(self.found, self.local)
        except FitError as error:
            raise self._criterion.refusal(error) from error
        self._use(hessian, _Kind.EXACT)
        self._sharpened, self._made_at = True, self.decrease

    @property
    def exit(self) -> BoundaryParameter | None:
        """The most promising direction off the boundary."""
        return max(self.local.exits, key=lambda b: b.predicted_decrease, default=None)

    @property
    def promise(self) -> float:
        """Decrease that a step, inside or off the boundary, promises."""
        return max([self.decrease, 0.0, *(b.predicted_decrease for b in self.local.exits)])

    @property
    def is_at_saddle(self) -> bool:
        """Whether the exact second derivatives, where they are known, say that some direction curves down."""
        return self._model is not None and bool(self._model.values.min(initial=0.0) < 0.0)

    # Steps

    def advance(self) -> bool:
        """Take one step; whether there may be another."""
        criterion = self._criterion
        self._iterations += 1
        if criterion.price is Price.CHEAP and self._kind is _Kind.CHEAP:
            # Once it creeps the cheap curvature is none, of this place or of those nearby.
            self._creeps = self._creeps or self.promise > CREEPING * self._last
            self._last = self.promise
            if self._creeps:
                self._sharpen()
        elif criterion.price is Price.DEAR and not self._sharpened and self._kind is not _Kind.EXACT:
            near = min(_NEAR * 2.0 ** max(self._iterations - _PATIENCE, 0), _FAR)
            many = max(_MANY_SLOW, len(self.local.gradient) // 2)
            if self.decrease < near or self._slow >= many:
                self._sharpen()
                self._slow = 0
        if self._is_done():
            self.message = CONVERGED
            return False
        if criterion.price is Price.DEAR and self._iterations % _PATIENCE == 0:
            self._turn()
        before = self.n_evaluations
        reached = self._first_lower()
        if reached is None:
            if self._sharpened:
                self.message = "no step decreases the criterion"
                return False
            self._creeps = True
            self._sharpen()
            return True
        self._arrive(*reached, cut=self.n_evaluations - before > _FEW_CUTS)
        return True

    def _turn(self) -> None:
        """Go on from the same place in better coordinates."""
        before = self._criterion.place(self.found)
        place = self._criterion.turned(before)
        if place is before:
            return
        self.found = self._evaluate(place)
        self.local, self._sharpened = self._criterion.local(self.found), False
        self._use(self.local.curvature, _Kind.CHEAP)

    def _is_done(self) -> bool:
        tolerance = self._criterion.tolerance(self.found)
        if self.promise <= tolerance and self._kind is _Kind.EXACT and not self._sharpened and self._made_at > _NEAR:
            # After a long way they may be of a place too far before this one to be its second derivatives.
            self._sharpen()
        price, promise, before = self._criterion.price, self.promise, self._arrived
        if promise > tolerance:
            return False
        self._arrived = promise
        if price is Price.CHEAP and tolerance > TOLERANCE:
            # The slopes may know more than the values do.
            return promise <= TOLERANCE or promise > _HALVED[Price.FREE] * before
        return promise <= _LAST_DIGITS[price] * tolerance or promise > _HALVED[price] * before

    def _first_lower(self) -> tuple[Found, Array | None] | None:
        """The first trial whose value is lower, and the step to it in the place's coordinates where it is one."""
        bound = self.found.value + self.found.resolution
        if self._model is not None and self.promise < self.found.resolution:
            # Values say nothing of so small a step: the promise of the next one judges it.
            bound = np.inf
        error, last, with_value = None, None, False
        self._region.promised = 0.0
        for place, step in self._trials():
            try:
                found = self._evaluate(place)
            except FitError as raised:
                error = last = raised
                continue
            last, with_value = None, True
            if found.value < bound:
                self._barred, self._bar = (self._barred + 1 if error is not None else 0), error
                if error is not None and self._barred >= _MANY_BARRED:
                    raise self._criterion.refusal(error) from error
                return found, step
        error = error or self._bar
        if error is not None and (not with_value or (self._sharpened and (last is not None or self.promise > _FAR))):
            # Long steps are barred, or were on the way, and the shortest is too or what it promises is no rounding.
            raise self._criterion.refusal(error) from error
        return None

    def _evaluate(self, place: Place) -> Found:
        self.n_evaluations += 1
        try:
            found = self._criterion.evaluate(place)
        except FitError as error:
            log.refused(error, self.n_evaluations)
            raise
        log.evaluated(found.value, self.n_evaluations)
        return found

    def _trials(self) -> Iterator[tuple[Place, Array | None]]:
        """Places to try, best first."""
        criterion, found, local = self._criterion, self.found, self.local
        away = self.exit
        if away is not None and away.predicted_decrease > self.decrease:
            for halvings in range(_MAX_HALVINGS):
                yield criterion.leave(found, away, away.newton_variance * _LESS**halvings), None
            return
        if self._model is None:
            step, vanishing = scaled_step(local.pivots, local.longest, local.gradient, self._curvature, self._full)
        else:
            step = self._model.step(self._region.radius)[0] / local.unit
            vanishing = vanishing_pivots(local.pivots, local.gradient, self._curvature)
        if vanishing and self._patience.allows():
            for which in together(local.pivots, vanishing):
                beside = compensated(self._curvature, local.gradient, step, local.longest, local.pivots, which)
                yield criterion.turned(criterion.move(found, local, beside, which)), None
        if self._model is None:
            far = self.decrease > _FAR and self._iterations < _LONG
            for halvings in range(_MAX_HALVINGS):
                part = step * 0.5**halvings
                place = criterion.move(found, local, part, ())
                # Where the curvature is made anew in any case, so may the coordinates.
                yield (criterion.turned(place), None) if far and halvings < _FEW_CUTS else (place, part)
        else:
            far_out = endless_step(local.endless, local.gradient, self._curvature, step)
            if far_out is not None:
                yield criterion.move(found, local, far_out, ()), far_out
            for part in self._region.steps(self._model):
                yield criterion.move(found, local, part / local.unit, ()), part / local.unit

    def _arrive(self, found: Found, step: Array | None, *, cut: bool) -> None:
        """Go on from an accepted place."""
        criterion, old, old_curvature, old_kind = self._criterion, self.local, self._curvature, self._kind
        promised = self.promise
        far = not (cut or old_kind.may_be_indefinite) and self.decrease > _FAR and self._iterations < _LONG
        self._region.learn(self.found.value - found.value, self.found.resolution)
        change = criterion.rank(found) - criterion.rank(self.found)
        if change < 0:
            self._patience = Patience()
        if change:
            self._last = np.inf
        self.found, self.local, self._sharpened = found, criterion.local(found), False
        if criterion.price is Price.FREE or (criterion.price is Price.CHEAP and self._creeps):
            self._sharpen()
        elif criterion.price is Price.CHEAP or far or step is None or change or not self._is_as_wide_as(old):
            self._use(self.local.curvature, _Kind.CHEAP)
        elif old_kind is _Kind.EXACT and newton_step(old_curvature, self.local.gradient)[1] < min(
            _NEAR, _SLOW * promised
        ):
            self._use(old_curvature, _Kind.EXACT)
        else:
            update, kind = (symmetric_rank_one, _Kind.SECANT) if old_kind.may_be_indefinite else (bfgs, _Kind.UPDATED)
            self._use(update(old_curvature, step, self.local.gradient - old.gradient), kind)
            self._slow = self._slow + 1 if self.promise > _SLOW * promised else 0

    def _is_as_wide_as(self, old: AnyLocal) -> bool:
        """Whether the place has the coordinates of the one before: one that no longer changes anything is none."""
        return len(self.local.gradient) == len(old.gradient)

    # The end

    def optimum(self) -> Optimum[Found, AnyLocal]:
        """Where the search stands, and whether it is a minimum."""
        tolerance = self._criterion.tolerance(self.found)
        exact = self._kind is _Kind.EXACT
        certificate = Certificate(
            converged=bool(
                self.promise <= tolerance <= COARSEST and (exact or self._criterion.price is not Price.DEAR)
            ),
            projected_gradient=float(np.abs(self.local.gradient).max(initial=0.0)),
            predicted_decrease=self.decrease,
            boundary=self.local.exits,
            tolerance=tolerance,
            n_evaluations=self.n_evaluations + self._criterion.n_aside,
            message=_BLURRED if tolerance > COARSEST else self.message,
        )
        curvature = positive(self._curvature) if self._kind.may_be_indefinite else self._curvature
        return Optimum(self.found, self.local, curvature, exact, certificate)
