"""Which means or slopes are asked for: variables, those within whose values they are compared, and the grid's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixfit.brief import brief
from mixfit.errors import FitError
from mixfit.formula import CENSORED, parse
from mixfit.inference.means.grid_variables import grid_variables
from mixfit.inference.means.nesting import find_nesting, given_nesting, with_parents
from mixfit.inference.means.reference_grid import reference_grid
from mixfit.inference.predictors import refuse_unordered, seen_from

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixfit.fitted.protocols import Fit
    from mixfit.inference.means.grid_variables import GridVariable
    from mixfit.inference.means.nesting import Nesting
    from mixfit.inference.means.reference_grid import ReferenceGrid
    from mixfit.matrices.types import Design

__all__ = ["Request", "as_names", "parse_specs", "read_request", "response_label"]

_COLUMNS = {"emmean", "prob", "rate", "response", "contrast", "estimate", "odds.ratio", "ratio", "SE", "df", "null"}
_COLUMNS |= {"t.ratio", "z.ratio", "p.value", "lower.CL", "upper.CL", "1", ".group"}
_MISLEADING = "NOTE: Results may be misleading due to involvement in interactions"


@dataclass(frozen=True, eq=False)
class Request:
    """What is asked for.

    Attributes
    ----------
    fit : LinearResults or GeneralizedResults
        As the predictor sees it that is asked for.
    method : str, or None
        Contrasts that stand left of the tilde.
    focal : tuple of str
        Variables that each combination has a result for.
    by : tuple of str
        Those of them within whose combinations results are compared.
    variables : mapping of str to GridVariable
    nesting : mapping of str to tuple of str
        Of nested factors, what they are nested in.
    nuisance : tuple of str
    """

    fit: Fit
    method: str | None
    focal: tuple[str, ...]
    by: tuple[str, ...]
    variables: Mapping[str, GridVariable]
    nesting: Nesting
    nuisance: tuple[str, ...]

    __repr__ = brief

    def grid(self, weights: str, focal: tuple[str, ...] | None = None) -> ReferenceGrid:
        """The reference grid, by default of the focal variables."""
        names = self.focal if focal is None else focal
        return reference_grid(self.fit, self.variables, names, self.nesting, self.nuisance, weights)

    def warnings(self, var: str | None = None) -> tuple[str, ...]:
        """Whether a focal variable stands in one term with another that is averaged over or held.

        Of slopes in a covariate `var`: whether it stands in one term with a variable that is not focal.
        """
        focal, terms = {*self.focal, var}, self.fit.model.design.reader.fixed_terms
        known = [set(term) & set(self.variables) for term in terms]
        mixed = any(term & focal and term - focal for term in known if var is None or var in term)
        nested = [f"{name} in {' and '.join(parents)}" for name, parents in self.nesting.items()]
        return ((_MISLEADING,) if mixed else ()) + ((f"NOTE: Nested factors: {', '.join(nested)}",) if nested else ())


def read_request(
    fit: Fit,
    specs: str | Sequence[str],
    by: str | Sequence[str] | None,
    at: Mapping[str, Any] | None,
    cov_keep: int,
    predictor: str,
    nuisance: str | Sequence[str] | None = None,
    nesting: Mapping[str, Sequence[str] | str] | None = None,
    *,
    unordered: bool = False,
) -> Request:
    """Read the arguments that `emmeans` and its kin have in common.

    Nested factors bring what they are nested in, among the focal variables and those of `by`.

    Raises
    ------
    FitError
        For unordered categories but where they are asked for, a variable with the name of a column of the result, and
        what `grid_variables` refuses.
    """
    if not unordered:
        refuse_unordered(fit, "Marginal slopes and tests by marginal means")
    fit = seen_from(fit, predictor)
    method, names, within = parse_specs(specs)
    aside, variables = as_names(nuisance), grid_variables(fit, at, cov_keep)
    if nesting is None:
        candidates = {name: v for name, v in variables.items() if name not in aside}
        known = find_nesting(candidates, fit.model.design.reader.fixed_terms)
    else:
        known = given_nesting(nesting, variables)
    within = with_parents((*within, *as_names(by)), known)
    focal = with_parents((*names, *within), known)
    if set(focal) & set(aside):
        raise FitError(f"nuisance= names {', '.join(sorted(set(focal) & set(aside)))}, which the means are for.")
    taken = [name for name in focal if name in _COLUMNS]
    if taken:
        raise FitError(f"{taken[0]!r} is also the name of a column of the result: rename the variable.")
    return Request(fit, method, focal, within, variables, known, aside)


def parse_specs(specs: str | Sequence[str]) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
    """Read `specs`: the contrasts asked for, the variables, and those after the bar.

    Examples
    --------
    >>> parse_specs("pairwise ~ a * b | c")
    ('pairwise', ('a', 'b'), ('c',))
    >>> parse_specs(["a", "b"])
    (None, ('a', 'b'), ())
    """
    if not isinstance(specs, str):
        return None, as_names(specs), ()
    if "~" not in specs:
        return None, (specs,), ()
    method, _, right = specs.partition("~")
    names, _, within = right.partition("|")
    return method.strip() or None, _split(names), _split(within)


def _split(text: str) -> tuple[str, ...]:
    pieces = text.replace("*", "+").replace(":", "+").split("+")
    return tuple(piece.strip().strip("`") for piece in pieces if piece.strip() not in ("", "1"))


def as_names(names: str | Sequence[str] | None) -> tuple[str, ...]:
    """One name, several, or none, as a tuple."""
    return () if names is None else (names,) if isinstance(names, str) else tuple(names)


def response_label(design: Design) -> str:
    """Name of the response; of ``cbind(a, b)`` the proportion of the first, of ``censored(time, event)`` the time."""
    response = parse(f"{design.endog_name} ~ 1", random=None).response
    if response.arguments is None:
        return str(design.endog_name)
    return response.arguments[0] if response.function == CENSORED else f"proportion of {response.arguments[0]}"
