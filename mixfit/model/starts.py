"""Start values that a user gives: read term by term, or refused in an error that says what each term takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.covariance.steps import split_theta
from mixfit.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.structure import Structure
    from mixfit.matrices.types import Design, RandomDesign

    Array = NDArray[np.float64]

__all__ = ["AS_IN_LME4", "LME4_PARTS", "read_fixed_start", "read_start"]

#: Names of the parts of lme4's ``start = list(theta = , fixef = )``.
LME4_PARTS = frozenset({"theta", "fixef", "beta"})
#: What these parts are here.
AS_IN_LME4 = (
    "start= takes theta by itself, start=[...], in one array or an array for each random term; fixed effects to start "
    "from are start_fixed=[...], of generalized models."
)


def read_start(random: Sequence[RandomDesign], start: Any, in_formula_order: Callable[[Array], Array]) -> list[Array]:
    """Theta as a whole, or a theta or relative factor for every random term: an array for every term.

    `in_formula_order` brings a whole theta from the order of results to that of the terms.

    Raises
    ------
    FitError
        For anything else, with the shapes that the terms take.
    """
    if isinstance(start, Mapping) and not LME4_PARTS.isdisjoint(start):
        raise FitError(AS_IN_LME4)
    structures = [r.structure for r in random]
    whole = _numbers(start)
    if whole is not None and whole.shape == (sum(s.n_parameters for s in structures),):
        return split_theta(structures, in_formula_order(whole.astype(np.float64)))
    own = None
    if not isinstance(start, str | bytes) and not hasattr(start, "keys"):
        try:
            own = [_numbers(part) for part in start]
        except TypeError:
            own = None
    if own is None or len(own) != len(structures):
        raise _refusal(random, start)
    out = []
    for structure, part in zip(structures, own, strict=True):
        if part is None or not _suits(structure, part):
            raise _refusal(random, start)
        out.append(part)
    return out


def read_fixed_start(design: Design, kept: NDArray[np.intp], start: Any) -> Array:
    """Fixed effects of the columns `kept`, from one value for each of them, or for each column of the formula.

    Raises
    ------
    FitError
        For anything else, with the names of the columns.
    """
    values, names = _numbers(start), [design.exog_names[j] for j in kept]
    if values is not None and values.shape == (len(design.exog_names),):
        return values[kept]
    if values is not None and values.shape == (len(kept),):
        return values
    raise FitError(
        f"start_fixed= takes a finite number for each of the {len(names)} fixed effects, in this order: "
        f"{', '.join(names)}; it was given {_shown(start)}."
    )


def _numbers(values: Any) -> Array | None:
    """Finite numbers as an array; None for anything else."""
    try:
        out = np.asarray(values)
    except ValueError:
        # Of ragged shape.
        return None
    if out.dtype.kind not in "iuf" or not np.isfinite(out).all():
        return None
    return out.astype(float)


def _suits(structure: Structure, part: Array) -> bool:
    if part.shape == (structure.n_parameters,):
        return True
    if part.shape != (structure.k, structure.k) or not structure.free_blocks:
        return False
    # A factor of a covariance that the structure does not have would be another model's.
    own = structure.template(structure.theta_of(part, np.eye(structure.k)))
    return bool(np.allclose(own @ own.T, part @ part.T))


def _refusal(random: Sequence[RandomDesign], start: Any) -> FitError:
    wanted = "; ".join(f"{r.text}: {_wanted(r)}" for r in random)
    return FitError(
        f"start= takes a list with finite numbers for each random term, in the order of the formula: {wanted}. Or all "
        f"of theta in one array of shape ({sum(r.structure.n_parameters for r in random)},). It was given "
        f"{_shown(start)}."
    )


def _wanted(r: RandomDesign) -> str:
    structure = r.structure
    m, k = structure.n_parameters, structure.k
    if not structure.free_blocks:
        names = ", ".join(p.label(list(r.columns), r.grouping.name) for p in structure.natural)
        return f"its {m} parameters ({names}), shape ({m},)"
    kind = "diagonal" if structure.is_separable else "lower triangular"
    return f"a relative factor, {kind}, shape ({k}, {k}), or its free entries, shape ({m},)"


def _shown(start: Any) -> str:
    """What was given, by its shapes where it has any."""
    if isinstance(start, str | bytes) or hasattr(start, "keys"):
        return f"{type(start).__name__} {start!r}"
    try:
        shape = np.shape(start)
    except ValueError:
        return "arrays of shapes " + ", ".join(str(np.shape(part)) for part in start)
    return f"shape {shape}" if _numbers(start) is not None else f"{type(start).__name__} of other things"
