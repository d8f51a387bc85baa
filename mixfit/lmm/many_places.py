r"""Where searches from many places lead: steps of the EM algorithm from all of them at once.

A step of the EM algorithm (Laird & Ware 1982, Biometrics 38, eq. 3.5 and 3.6) takes Sigma = T T' of a term to

    T (I - T'N T / q) T',   N = dd/dSigma,   q the number of levels,

which never raises the criterion and asks for no more than the slopes. Made for all places by one array operation (see
`mixfit.lmm.batch.thetas`), a step of thirty places takes about the time of one evaluation and its derivatives.
The middle is raised to a power below 2: near a minimum, where the EM algorithm creeps, steps are then nearly twice as
long and still lead to it, as those of any iteration that multiplies errors by numbers from 0 to 1.

After a few steps the places that are highest are let go.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from mixfit.lmm.batch.thetas import sweep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.lmm.batch.thetas import Sweep
    from mixfit.lmm.problem import Problem
    from mixfit.lmm.start import MomentEquations

    Array = NDArray[np.float64]

__all__ = ["drawn_places", "settle"]

# From half as many places searches miss more of the lowest minima of random models than they save in time, and four
# times as many find few more.
_N_PLACES = 32
# Steps, and how many places are left after them: with fewer steps places are let go that would have ended lowest.
_ROUNDS = ((4, 6), (3, 3))
# Standard deviations beside those that a level's rows tell as much of as not, their decimal logarithm: beyond them the
# cross-products of random models lose their digits.
_LOG_SIZES = (-1.0, 2.0)
# The power of a step, below 2.
_POWER = 1.9
# Numbers that a step takes of every place, (columns of factors but the largest)^2 and more: beyond it one evaluation,
# which knows what is sparse, costs a small part of a step.
_LARGEST_CORNER = 60


def drawn_places(problem: Problem, equations: MomentEquations) -> tuple[Array, ...]:
    """Templates (R, k_t, k_t) of all sizes and correlations, the same for every response of a design."""
    rng = np.random.default_rng(0)
    units = dict(zip(equations.columns, np.sqrt(equations.units), strict=True))
    out = []
    for term in problem.terms:
        own = np.array([units[term.factor, term.first + a] for a in range(term.k)])
        places = np.zeros((_N_PLACES, term.k, term.k))
        for block in term.structure.free_blocks:
            k = block.stop - block.start
            root = rng.normal(size=(_N_PLACES, k, k)) if k > 1 else np.ones((_N_PLACES, 1, 1))
            size = 10.0 ** rng.uniform(*_LOG_SIZES, size=(_N_PLACES, 1, 1))
            places[:, block, block] = own[block][:, None] * root * size
        out.append(places)
    return tuple(out)


def settle(
    problem: Problem, places: Sequence[Array], kept: Sequence[Sequence[Array]], *, reml: bool
) -> tuple[list[tuple[float, list[Array]]], int]:
    """Where places lead and the criterion there but for constants, the lowest first, and how many steps were made.

    Parameters
    ----------
    problem : Problem
        Of free structures, for which any square root of a covariance is a point.
    places : sequence of ndarray, shape (R, k_t, k_t)
        Templates of every term.
    kept : sequence of sequence of ndarray, shape (k_t, k_t)
        Places that go on to the end whatever their values.
    reml : bool

    Returns
    -------
    list of tuple of float and list of ndarray, shape (k_t, k_t)
        None where steps of many places at once cost more than they save.
    int
    """
    gram = problem.gram
    n_others = sum(k * q for k, q in zip(gram.k[1:], gram.n_levels[1:], strict=True))
    plain = not (gram.relationships or problem.has_given)
    common = sweep(gram) if plain and n_others + problem.p < _LARGEST_CORNER else None
    if common is None:
        return [], 0
    first, n_steps = np.arange(len(kept)), 0
    own = [np.stack([*(at[t] for at in kept), *place]) for t, place in enumerate(places)]
    values = np.zeros(len(own[0]))
    # Where some place has lost its digits, what the steps before have led to is as good a start.
    with suppress(np.linalg.LinAlgError), np.errstate(all="ignore"):
        for steps, left in _ROUNDS:
            for _ in range(steps):
                values, own = _step(problem, common, own, reml=reml)
                n_steps += 1
            # What is no number is last.
            order = np.argsort(values)
            best = order[order >= len(kept)][:left]
            chosen = np.concatenate([first, best])
            values, own = values[chosen], [t[chosen] for t in own]
    return [(float(values[place]), [t[place] for t in own]) for place in np.argsort(values)], n_steps


def _step(problem: Problem, common: Sweep, own: Sequence[Array], *, reml: bool) -> tuple[Array, list[Array]]:
    """The criterion at R places but for constants, (R,), and the places a step farther."""
    gram, p, nu = problem.gram, problem.p, problem.degrees(reml=reml)
    swept = common.at(_of_factors(problem, own))
    x, to_y = swept.schur[:, :p, :p], swept.schur[:, :p, p]
    inverse = np.asarray(np.linalg.inv(x), dtype=float)
    beta = np.einsum("rab,rb->ra", inverse, to_y)
    residual = swept.schur[:, p, p] - np.einsum("ra,ra->r", beta, to_y)
    values = swept.logdet + nu * np.log(residual)
    contrast = np.concatenate([-beta, np.ones((len(beta), 1))], axis=1)
    along = (nu / residual)[:, None, None] * contrast[:, :, None] * contrast[:, None]
    if reml:
        values = values + np.linalg.slogdet(x)[1]
        along[:, :p, :p] += inverse
    slopes = swept.slopes(along)
    farther = []
    for term, t in zip(problem.terms, own, strict=True):
        share = np.eye(term.k) - slopes[term.factor][:, term.columns, term.columns] / gram.n_levels[term.factor]
        out = np.zeros_like(t)
        for block in term.structure.free_blocks:
            sizes, vectors = np.linalg.eigh(share[:, block, block])
            root = vectors * np.maximum(sizes, 0.0)[:, None] ** (0.5 * _POWER)
            out[:, block, block] = t[:, block, block] @ root
        farther.append(out)
    return values, farther


def _of_factors(problem: Problem, own: Sequence[Array]) -> list[Array]:
    """Templates (R, k_i, k_i) of the grouping factors from those of the terms."""
    out = [np.zeros((len(own[0]), k, k)) for k in problem.gram.k]
    for term, t in zip(problem.terms, own, strict=True):
        out[term.factor][:, term.columns, term.columns] = t
    return out
