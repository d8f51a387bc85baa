"""Residuals that are correlated within blocks of rows, or of unequal variance: from ``residual=`` and ``dispersion=``.

``residual="ar1(time | subject), by=arm"`` is read as a random term whose columns are the places of the rows, and
``dispersion="~ sex"`` as a predictor of the logarithm of their standard deviation; both stand among the further
predictors of a design.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.columns import GivenColumns, PlaceNames, Places
from mixfit.covariance.parametric import Parametric
from mixfit.covariance.registry import read_structure
from mixfit.covariance.spatial import Spatial
from mixfit.covariance.symmetric import HomogeneousDiagonal
from mixfit.errors import DataError, DesignError, FormulaError
from mixfit.formula import PredictorFormula, parse_predictor
from mixfit.machine import is_too_large, machine_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.structure import Structure
    from mixfit.formula import MixedFormula
    from mixfit.matrices.types import Design, Grouping, Predictor, RandomDesign

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = [
    "DISPERSION",
    "NONE",
    "RESIDUAL",
    "ResidualDesign",
    "check_places",
    "has_blocks",
    "residual_design",
    "residual_formulas",
]

#: Names of the predictors that say what residuals are like.
RESIDUAL = "residual"
DISPERSION = "dispersion"
#: ``residual="none"``: a structured term of the formula is all the variance there is.
NONE = "none"

_TERM = re.compile(r"\s*([A-Za-z_]\w*)\s*\((.*)\)\s*(?:,\s*by\s*=\s*([^,()]+?)\s*)?")
# nlme's name of the same.
_OTHER_NAMES = {"car1": "ou"}
_WITHOUT_INTERCEPT = re.compile(r"\s*(0\s*\+|-\s*1\b)")
# Share of a column's length that the others must leave of it, as of the columns of fixed effects.
_RANK_TOLERANCE = 1e-7
# Of a standard deviation beside that of all: rows without residual would be whitened by infinity. Cross-products lose
# digits by the square of it, the criterion differs from that at zero by the share itself, both unseen at this one.
_LEAST = 1e-4


@dataclass(frozen=True, eq=False)
class ResidualDesign:
    """What the residuals of a model may be like.

    Attributes
    ----------
    text : str
        The structure as it was written; empty for independent residuals.
    structures : tuple of Structure
        One for each part of the blocks.
    columns : sequence of str
        Names of the places.
    place : ndarray of intp, shape (n,)
        Of each row, among the columns.
    blocks : Grouping or None
        Rows of one level are correlated; None for independent residuals.
    block : ndarray of intp, shape (n,)
    parts : Grouping or None
        What ``by=`` names.
    part : ndarray of intp, shape (n,)
    spread : ndarray, shape (n, g)
        Columns that the log standard deviation is linear in, beside a constant.
    spread_names : tuple of str, length g
    """

    text: str
    structures: tuple[Structure, ...]
    columns: Sequence[str]
    place: Index
    blocks: Grouping | None
    block: Index
    parts: Grouping | None
    part: Index
    spread: Array
    spread_names: tuple[str, ...]

    @property
    def part_names(self) -> tuple[str, ...]:
        """``"Residual"``, or ``"Residual arm=a"`` of each level of what ``by=`` names."""
        if self.parts is None:
            return ("Residual",)
        return tuple(f"Residual {self.parts.name}={level}" for level in self.parts.levels)


def residual_formulas(
    formula: MixedFormula, residual: str | None, dispersion: str | None
) -> tuple[MixedFormula, dict[str, PredictorFormula]]:
    """The formula of the mean, and the predictors of what residuals are like.

    Parameters
    ----------
    formula : MixedFormula
    residual : str or None
        ``"name(place | block)"``, followed by ``, by=part`` or not; ``"none"`` makes the one structured term of the
        formula whose columns stand for places (``0 + ...``) the residuals' structure.
    dispersion : str or None

    Raises
    ------
    FormulaError
        For anything else.
    """
    out: dict[str, PredictorFormula] = {}
    if formula.uses_dot and residual is not None:
        raise FormulaError(
            f"{formula.text!r}: beside residual= write out what `.` stands for, which would count the places and the "
            "blocks of residuals among the fixed effects."
        )
    if residual is not None:
        _check_text("residual", residual, "ar1(time | subject)")
        if residual.strip() == NONE:
            formula, out[RESIDUAL] = _without_residual(formula)
        else:
            out[RESIDUAL] = parse_predictor(_as_predictor(residual))
    if dispersion is not None:
        _check_text("dispersion", dispersion, "~ sex")
        out[DISPERSION] = parse_predictor(dispersion)
        if out[DISPERSION].random or out[DISPERSION].offsets:
            raise FormulaError(
                f"dispersion={dispersion!r}: the log standard deviation of residuals takes no offsets, and beside "
                "residual= no random terms; a known variance of every row is 1 / weights."
            )
    return formula, out


def _check_text(argument: str, value: object, example: str) -> None:
    if not isinstance(value, str):
        raise FormulaError(f"{argument}= is a string such as {example!r}, not {type(value).__name__}.")


def _as_predictor(residual: str) -> str:
    match = _TERM.fullmatch(residual)
    if match is None or "|" not in match.group(2):
        raise FormulaError(
            f"residual={residual!r} is no structure: write name(place | block), as in 'us(visit | subject)', "
            "'ar1(time | subject)' or 'exp(x + y | field)', with ', by=arm' behind it for parameters of each arm; "
            "'none' where a structured term of the formula carries all the variance."
        )
    name, inside, by = match.groups()
    name = _OTHER_NAMES.get(name, name)
    whole = inside if _WITHOUT_INTERCEPT.match(inside) else f"0 + {inside.strip()}"
    return f"~ 0 + {name}({whole})" + ("" if by is None else f" + (1 | {by})")


def _without_residual(formula: MixedFormula) -> tuple[MixedFormula, PredictorFormula]:
    """Take the one term out of the formula that can carry all the variance."""
    candidates = [t for t in formula.random if not any(str(column) == "1" for column in t.terms)]
    if len(candidates) != 1:
        raise FormulaError(
            "residual='none' leaves all variance to a structured term whose columns are the places of the rows, such "
            f"as ar1(0 + time | subject); {formula.text!r} has {len(candidates) or 'none'} of that kind. Write the one "
            "that is meant as residual= and leave it out of the formula."
        )
    (own,) = candidates
    rest = replace(formula, random=tuple(t for t in formula.random if t is not own))
    return rest, PredictorFormula(formula.text, (), (own,), (), formula.variables, uses_dot=False)


def residual_design(design: Design) -> ResidualDesign:
    """What the further predictors of a design say of its residuals.

    Raises
    ------
    DataError
        Where two rows of a block have one place, or no block has two rows.
    DesignError
        Where the rows cannot tell the parameters apart.
    """
    n = len(design.y)
    known = {predictor.name: predictor for predictor in design.further}
    nothing = np.zeros(n, dtype=np.intp)
    if RESIDUAL in known:
        term, *by = known[RESIDUAL].random
        structure, columns, place = _places(term)
        if isinstance(structure, Parametric) and structure.n_deviations > 1:
            structure = replace(structure, least=_LEAST)
        parts = by[0].grouping if by else None
        found = ResidualDesign(
            text=term.text,
            structures=(structure,) * (1 if parts is None else parts.n_levels),
            columns=columns,
            place=place,
            blocks=term.grouping,
            block=term.grouping.codes,
            parts=parts,
            part=nothing if parts is None else parts.codes,
            spread=np.empty((n, 0)),
            spread_names=(),
        )
        _check_blocks(found)
    else:
        every = np.arange(n, dtype=np.intp)
        found = ResidualDesign(
            "", (HomogeneousDiagonal(1),), ("residual",), nothing, None, every, None, nothing, np.empty((n, 0)), ()
        )
    if DISPERSION in known:
        found = _with_spread(found, known[DISPERSION])
    return found


def _places(term: RandomDesign) -> tuple[Structure, Sequence[str], Index]:
    """A residual term's structure, its columns' names and each row's column."""
    Z, structure, columns = term.Z, term.structure, term.columns
    if isinstance(structure, Spatial) and has_blocks(structure) and not columns[0].endswith("]"):
        positions = structure.locations
        if Z.shape[1] == positions.shape[1]:
            return structure, PlaceNames(Places(structure.positions, columns)), _found(Z, positions)
    if not _are_indicators(Z) and Z.shape[1] == 1:
        # One number: its values are the places, as the levels of a factor are.
        recoding = Places.of(GivenColumns(term.text, columns, Z))
        Z, columns = recoding.apply(Z), recoding.names
        # Of one column it was any structure; which it is of several, its name says.
        structure, again = read_structure(term.text.partition("(")[0], GivenColumns(term.text, columns, Z))
        if again is not None:
            Z, columns = again.apply(Z), again.names
    if not _are_indicators(Z):
        raise DataError(
            f"{term.text}: what stands left of the bar are the places of the rows, the levels of one factor or "
            f"coordinates; columns such as {columns[0]!r} are no places."
        )
    return structure, columns, Z.argmax(axis=1).astype(np.intp)


def has_blocks(structure: Structure) -> bool:
    """Whether a structure is known by the distances within blocks."""
    return structure.among(np.zeros((1, 1), dtype=np.intp)) is not None


def check_places(text: str, structure: Structure, places: Places, grouping: Grouping) -> None:
    """Refuse effects of places whose columns, and products of two of these in each level, this machine cannot hold."""
    k = len(places.positions)
    memory = 8.0 * k * (len(grouping.codes) + k * grouping.n_levels)
    if not is_too_large(memory):
        return
    advice = "Round them, or take fewer."
    if has_blocks(structure):
        name, inside = text.removesuffix(")").split("(", 1)
        within = re.sub(_WITHOUT_INTERCEPT, "", inside)
        advice = (
            "Where levels have places of their own, residual= looks at each level by itself: "
            f'residual="{name}({within.strip()}, nugget)" is the same model of a response with normal errors.'
        )
    raise DesignError(
        f"{text}: each of {k:,} places is a column in each level of {grouping.name}, which takes {memory / 1e9:,.0f} "
        f"GB, and this machine has {machine_memory() / 1e9:.0f}. {advice}"
    )


def _found(values: Array, positions: Array) -> Index:
    """The position of every row of coordinates, (n,)."""
    if positions.shape[1] == 1:
        order = np.argsort(positions[:, 0])
        return order[np.searchsorted(positions[order, 0], values[:, 0])]
    number = np.unique(np.concatenate([positions, values]), axis=0, return_inverse=True)[1].ravel()
    at = np.zeros(int(number.max()) + 1, dtype=np.intp)
    at[number[: len(positions)]] = np.arange(len(positions))
    return at[number[len(positions) :]]


def _are_indicators(Z: Array) -> bool:
    return bool(((Z == 0.0) | (Z == 1.0)).all() and (Z.sum(axis=1) == 1.0).all())


def _check_blocks(found: ResidualDesign) -> None:
    assert found.blocks is not None
    k, name = len(found.columns), found.blocks.name
    cells, count = np.unique(found.block * k + found.place, return_counts=True)
    if count.max() > 1:
        at = int(cells[count.argmax()])
        raise DataError(
            f"{found.text}: {count.max()} rows of {name} {found.blocks.levels[at // k]} are at "
            f"{found.columns[at % k]}; a residual has a place of its own. Number the rows within each "
            "block, or drop the repeated ones."
        )
    if np.bincount(found.block).max() < 2 and found.structures[0].n_parameters > found.structures[0].n_deviations:
        raise DataError(
            f"{found.text}: no level of {name} has two rows, so that nothing is known of correlations. Name what the "
            "rows of one block have in common behind the bar, or describe unequal variances by dispersion=."
        )
    _check_parts(found)
    _check_seen(found)


def _check_parts(found: ResidualDesign) -> None:
    if found.parts is None or found.blocks is None:
        return
    of_block = np.zeros(found.blocks.n_levels, dtype=np.intp)
    of_block[found.block] = found.part
    other = np.flatnonzero(of_block[found.block] != found.part)
    if len(other):
        raise DataError(
            f"{found.text}, by={found.parts.name}: the rows of {found.blocks.name} "
            f"{found.blocks.levels[found.block[other[0]]]} are of more than one level of {found.parts.name}; a block "
            "has one covariance."
        )


def _check_seen(found: ResidualDesign) -> None:
    """Refuse standard deviations of places, and covariances of pairs, that no row tells of."""
    structure, k = found.structures[0], len(found.columns)
    whole = structure.free_blocks == (slice(0, k),) and k > 1
    if structure.n_deviations < k and not whole:
        return
    for part in range(len(found.structures)):
        own = found.part == part
        where = "" if found.parts is None else f" of {found.parts.name} {found.parts.levels[part]}"
        seen = np.bincount(found.place[own], minlength=k) > 0
        if not seen.all():
            raise DataError(
                f"{found.text}: no row{where} is at {found.columns[int(np.argmin(seen))]}, which has a standard "
                "deviation of its own. Remove the level, or take a homogeneous structure."
            )
        if whole:
            _, block = np.unique(found.block[own], return_inverse=True)
            table = np.zeros((int(block.max()) + 1, k))
            table[block, found.place[own]] = 1.0
            together = table.T @ table
            if not together.all():
                a, b = divmod(int(np.argmin(together)), k)
                raise DataError(
                    f"{found.text}: no level of {found.blocks.name if found.blocks else ''}{where} has rows both at "
                    f"{found.columns[a]} and at {found.columns[b]}, so that nothing is known of their covariance. "
                    "Join such places, or take a structure with fewer parameters, such as toep or hetar1."
                )


def _with_spread(found: ResidualDesign, predictor: Predictor) -> ResidualDesign:
    """Add the columns of the log standard deviations, less the constant that sigma is."""
    X, names = predictor.X, list(predictor.exog_names)
    one = np.ones((len(X), 1))
    if "Intercept" in names:
        at = names.index("Intercept")
        X, names = np.delete(X, at, axis=1), names[:at] + names[at + 1 :]
    elif X.shape[1] and np.linalg.norm(one - X @ np.linalg.lstsq(X, one, rcond=None)[0]) < _RANK_TOLERANCE:
        X, names = X[:, 1:], names[1:]
    if not names and not found.text:
        raise FormulaError(
            f"dispersion={predictor.text!r} names nothing that residual variances could differ by: leave it out."
        )
    _check_spread(found, X, names)
    return replace(found, spread=np.ascontiguousarray(X), spread_names=tuple(names))


def _check_spread(found: ResidualDesign, X: Array, names: Sequence[str]) -> None:
    """Refuse columns that the structure's own deviations, or others before them, already say."""
    k = len(found.columns)
    own = found.part * k + found.place if found.structures[0].n_deviations == k else found.part
    indicators = (own[:, None] == np.unique(own)).astype(float)
    basis = np.linalg.qr(indicators)[0]
    for column, name in zip(X.T, names, strict=True):
        rest = column - basis @ (basis.T @ column)
        rest -= basis @ (basis.T @ rest)
        length = float(np.linalg.norm(rest))
        if length <= _RANK_TOLERANCE * float(np.linalg.norm(column)):
            reason = f"the standard deviations of {found.text} say it already" if found.text else "others determine it"
            raise DesignError(f"dispersion=: the column {name!r} adds nothing, {reason}. Leave it out.")
        basis = np.column_stack([basis, rest / length])
