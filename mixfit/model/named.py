"""Parameters that a user gives by name: known ones, and those to start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.arguments import same_name
from mixfit.errors import FitError, FormulaError
from mixfit.glmm.given import GivenStart
from mixfit.lmm.known import KnownEffects
from mixfit.matrices.types import MEAN
from mixfit.model.deviations import check_named, deviation_places
from mixfit.model.starts import AS_IN_LME4, LME4_PARTS, read_fixed_start, read_start

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from mixfit.families.base import Family
    from mixfit.glmm.problem import GeneralizedAssembly
    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]

__all__ = ["BESIDE", "given_start", "hold_in_family", "mean_places", "places_of", "read_held"]

# What a family's dispersion is called, here and by glmmTMB.
_DISPERSION = ("phi", "theta")
#: What fixed= holds beside coefficients.
BESIDE = "the parameters of the family and standard deviations of terms with one column"


def hold_in_family(family: Family, fixed: Mapping[str, float]) -> tuple[Family, dict[str, float]]:
    """The family with those of its parameters known that `fixed` names, and what else is named.

    Raises
    ------
    FitError
        For values that a parameter cannot have.
    """
    check_named(fixed)
    shapes = {s.name for s in family.shapes}
    own = {name: value for name, value in fixed.items() if name in shapes or name in _DISPERSION}
    if not own:
        return family, dict(fixed)
    values = enumerate(family.shape_values.items())
    known = {name: value for i, (name, value) in values if i not in family.free}
    known |= {name: _number(name, value) for name, value in own.items() if name in shapes}
    phi = next((_number(name, own[name]) for name in _DISPERSION if name in own), None)
    if phi is None and family.dispersion != "none":
        phi = family.known_phi
    rest = {name: value for name, value in fixed.items() if name not in own}
    return type(family)(family.link.name, phi, **known), rest


def read_held(places: Mapping[str, int], fixed: Mapping[str, float], beside: str = "") -> KnownEffects | None:
    """Known fixed effects, by the name of a column and, of other predictors than the mean's, theirs before it.

    Parameters
    ----------
    places : mapping of str to int
        Places of the fixed effects that can be held: see `mean_places`.
    fixed : mapping of str to float
    beside : str
        What else fixed= can hold.

    Raises
    ------
    FormulaError
        For a name that no fixed effect has, and values that are no finite numbers.
    """
    if not fixed:
        return None
    fixed = {same_name(name, places): value for name, value in fixed.items()}
    unknown = [name for name in fixed if name not in places]
    if unknown:
        others = f", and {beside}" if beside else ""
        raise FormulaError(
            f"fixed= names {unknown[0]!r}, and can hold the fixed effects {', '.join(_shown(places))}{others}."
        )
    own = sorted((places[name], _number(name, value)) for name, value in fixed.items())
    if len({place for place, _ in own}) < len(own):
        raise FormulaError("fixed= names a fixed effect twice, with its predictor and without.")
    return KnownEffects(np.array([place for place, _ in own], dtype=np.intp), np.array([value for _, value in own]))


def given_start(
    assembly: GeneralizedAssembly,
    design: Design,
    in_formula_order: Callable[[Array], Array],
    start: Sequence[ArrayLike] | ArrayLike | Mapping[str, float] | None,
    start_fixed: ArrayLike | None,
) -> GivenStart | None:
    """What the search is to start from; None where nothing is given."""
    if start is None and start_fixed is None:
        return None
    out = GivenStart()
    if isinstance(start, Mapping):
        out = _named_start(assembly, design, start)
    elif start is not None:
        thetas = read_start(design.random, start, in_formula_order)
        out = GivenStart(dict(enumerate(thetas)))
    if start_fixed is not None:
        beta = read_fixed_start(design, assembly.fixed.kept, start_fixed)
        out = replace(out, fixed={**out.fixed, **dict(enumerate(beta.tolist()))})
    return out


def _named_start(assembly: GeneralizedAssembly, design: Design, start: Mapping[str, Any]) -> GivenStart:
    """Parameters to start from: fixed effects, ``phi``, and standard deviations of terms with one column.

    Raises
    ------
    FitError
        For another name, or a value that cannot be.
    """
    if any(np.ndim(start[name]) for name in LME4_PARTS.intersection(start)):
        raise FitError(AS_IN_LME4)
    places, deviations = places_of(assembly, design), deviation_places(design)
    fixed, thetas, phi = {}, {}, None
    for name, given in start.items():
        value = _number(name, given)
        if name in places:
            fixed[places[name]] = value
        elif name in deviations or name in _DISPERSION:
            if not value > 0.0:
                raise FitError(f"start= gives {name} the value {value:g}, which must be positive.")
            if name in deviations:
                thetas[deviations[name]] = np.array([value])
            else:
                phi = value
        else:
            raise FitError(
                f"start= names {name!r}; it takes {', '.join([*_shown(places), *deviations, 'phi'])}, or the relative "
                "factors of all terms in a list."
            )
    if phi is not None and not assembly.problem.family.has_dispersion:
        raise FitError(f"start= gives phi, and no dispersion of {assembly.problem.family!r} is estimated as a number.")
    return GivenStart(thetas, fixed, phi)


def mean_places(columns: Sequence[str]) -> dict[str, int]:
    """Places of the fixed effects of the mean by their names, with and without its name before them."""
    return _by_name([(MEAN, columns, 0)])


def places_of(assembly: GeneralizedAssembly, design: Design) -> dict[str, int]:
    """Places of the fixed effects of all predictors by their names; see `mean_places`."""
    if not assembly.parts:
        return mean_places([design.exog_names[j] for j in assembly.fixed.kept])
    return _by_name([(part.name, part.columns, part.fixed.start) for part in assembly.parts])


def _by_name(own: Sequence[tuple[str, Sequence[str], int]]) -> dict[str, int]:
    out = {f"{name}:{column}": first + j for name, columns, first in own for j, column in enumerate(columns)}
    return out | {column: j for j, column in enumerate(own[0][1])}


def _shown(places: Mapping[str, int]) -> list[str]:
    return [name for name in places if not name.startswith(f"{MEAN}:")]


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not np.isfinite(value):
        raise FitError(f"{name} is given as {value!r}, which is no finite number.")
    return float(value)
