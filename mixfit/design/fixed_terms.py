"""What each column of X stands for: terms, factors with their codes, covariates with their values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from formulaic.parser.types import Factor

from mixfit.design.parts import EncodedPart, NumericPart, Part
from mixfit.design.types import FixedFactor, FixedStructure, FixedTerm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mixfit.design.materializer import MixedMaterializer

    Rows = NDArray[np.bool_] | None

__all__ = ["fixed_structure"]


def fixed_structure(
    part: Part, X: NDArray[np.float64], materializer: MixedMaterializer, keep: Rows, kept_of_built: Rows
) -> FixedStructure:
    """Describe the fixed part as it was built.

    `keep` selects rows of the data, `kept_of_built` rows of what the materializer encoded.
    """
    if isinstance(part, NumericPart):
        return _numeric_structure(part, X)
    assert isinstance(part, EncodedPart)
    terms, start = [], 0
    for structure in part.spec.structure:
        stop = start + len(structure.columns)
        names = tuple(f.expr for f in structure.term.factors if f.eval_method is not Factor.EvalMethod.LITERAL)
        terms.append(FixedTerm(":".join(names) or "Intercept", names, tuple(range(start, stop))))
        start = stop
    mains = {term.factors[0]: term for term in terms if len(term.factors) == 1}
    factors = {}
    for name in dict.fromkeys(name for term in terms for name in term.factors):
        if part.spec.encoder_state[name][0] is Factor.Kind.CATEGORICAL:
            levels, codes = materializer.levels_and_codes(name)
            factors[name] = FixedFactor(name, levels, codes.copy() if keep is None else codes[keep])
        elif name in mains:
            factors[name] = FixedFactor(name, None, X[:, list(mains[name].columns)])
        else:
            values = materializer.encoded_columns(name)
            factors[name] = FixedFactor(name, None, values if kept_of_built is None else values[kept_of_built])
    return FixedStructure(tuple(terms), factors)


def _numeric_structure(part: NumericPart, X: NDArray[np.float64]) -> FixedStructure:
    terms = []
    factors = {}
    for j, (column, name) in enumerate(zip(part.columns, part.names, strict=True)):
        terms.append(FixedTerm(name, () if column is None else (column,), (j,)))
        if column is not None:
            factors[column] = FixedFactor(column, None, X[:, j : j + 1])
    return FixedStructure(tuple(terms), factors)
