"""Families of contrasts among k means: their names, coefficients and customary adjustments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["METHODS", "ContrastFamily", "contrast_family", "level_text", "mean_labels", "polynomials"]

_DEGREES = ("linear", "quadratic", "cubic", "quartic")
# emmeans' `poly` ends there.
_HIGHEST_DEGREE = 6


@dataclass(frozen=True, eq=False)
class ContrastFamily:
    """Contrasts of k means.

    Attributes
    ----------
    names : list of str, length q
    coefficients : ndarray, shape (q, k)
    adjust : str
        The adjustment for several tests that such contrasts have by default.
    pairwise : bool
        Whether they are all pairwise differences, which Tukey's method is for.
    """

    names: list[str]
    coefficients: Array
    adjust: str
    pairwise: bool = False


def _differences(labels: Sequence[str], pairs: Sequence[tuple[int, int]], sign: str) -> tuple[list[str], Array]:
    C = np.zeros((len(pairs), len(labels)))
    for row, (i, j) in zip(C, pairs, strict=True):
        row[i], row[j] = 1.0, -1.0
    return [f"{labels[i]} {sign} {labels[j]}" for i, j in pairs], C


def _pairwise(labels: Sequence[str], sign: str) -> tuple[list[str], Array]:
    k = len(labels)
    return _differences(labels, [(i, j) for i in range(k) for j in range(i + 1, k)], sign)


def _reverse_pairwise(labels: Sequence[str], sign: str) -> tuple[list[str], Array]:
    return _differences(labels, [(j, i) for j in range(len(labels)) for i in range(j)], sign)


def _against_first(labels: Sequence[str], sign: str) -> tuple[list[str], Array]:
    return _differences(labels, [(i, 0) for i in range(1, len(labels))], sign)


def _against_last(labels: Sequence[str], sign: str) -> tuple[list[str], Array]:
    last = len(labels) - 1
    return _differences(labels, [(i, last) for i in range(last)], sign)


def _consecutive(labels: Sequence[str], sign: str) -> tuple[list[str], Array]:
    return _differences(labels, [(i + 1, i) for i in range(len(labels) - 1)], sign)


def _effects(labels: Sequence[str], sign: str) -> tuple[list[str], Array]:
    k = len(labels)
    return [f"{label} effect" for label in labels], np.eye(k) - 1.0 / k


def _deleted_effects(labels: Sequence[str], sign: str) -> tuple[list[str], Array]:
    k = len(labels)
    return [f"{label} effect" for label in labels], (np.eye(k) * k - 1.0) / (k - 1)


def _polynomial(labels: Sequence[str], sign: str) -> tuple[list[str], Array]:
    C = polynomials(len(labels))
    return [_DEGREES[d] if d < len(_DEGREES) else f"degree {d + 1}" for d in range(len(C))], C


#: Method -> how it is made, the adjustment that it has by default, whether it is all pairs.
METHODS: dict[str, tuple[Callable[[Sequence[str], str], tuple[list[str], Array]], str, bool]] = {
    "pairwise": (_pairwise, "tukey", True),
    "revpairwise": (_reverse_pairwise, "tukey", True),
    "trt.vs.ctrl": (_against_first, "dunnettx", False),
    "trt.vs.ctrl1": (_against_first, "dunnettx", False),
    "trt.vs.ctrlk": (_against_last, "dunnettx", False),
    "eff": (_effects, "fdr", False),
    "del.eff": (_deleted_effects, "fdr", False),
    "consec": (_consecutive, "mvt", False),
    "poly": (_polynomial, "none", False),
}


def contrast_family(method: object, labels: Sequence[str], sign: str = "-") -> ContrastFamily:
    """Contrasts of k means by the name of a method, or given by their coefficients.

    Parameters
    ----------
    method : str, mapping of str to sequence of float, DataFrame or array_like
        One of `METHODS`; or names and coefficients; or rows of k coefficients.
    labels : sequence of str, length k
    sign : {"-", "/"}
        What stands between the two means of a difference.

    Returns
    -------
    ContrastFamily

    Raises
    ------
    FitError
        For an unknown method, for one mean alone, or coefficients that are not k numbers a contrast.

    Examples
    --------
    >>> family = contrast_family("pairwise", ["A", "B", "C"])
    >>> family.names, family.coefficients[1].tolist(), family.adjust
    (['A - B', 'A - C', 'B - C'], [1.0, 0.0, -1.0], 'tukey')
    """
    if isinstance(method, str):
        if method not in METHODS:
            raise FitError(f"The methods of contrasts are {', '.join(METHODS)}, or coefficients, not {method!r}.")
        if len(labels) < 2:
            raise FitError(f"Contrasts compare two means or more, and there is one ({', '.join(labels)}) to compare.")
        make, adjust, pairwise = METHODS[method]
        names, C = make(labels, sign)
        return ContrastFamily(names, C, adjust, pairwise)
    names, rows = _given(method)
    try:
        C = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FitError(f"Contrasts need as many coefficients as there are means, {len(labels)}: {error}.") from error
    if C.ndim != 2 or C.shape[1] != len(labels) or not np.isfinite(C).all():
        shape = C.shape[1:] if C.ndim == 2 else C.shape
        raise FitError(
            f"Contrasts need a finite coefficient for each of the {len(labels)} means "
            f"({', '.join(labels)}), not the shape {shape}."
        )
    return ContrastFamily(names, C, "none")


def _given(method: Any) -> tuple[list[str], Any]:
    if isinstance(method, pd.DataFrame):
        return [str(name) for name in method.index], method.to_numpy()
    if isinstance(method, Mapping):
        return [str(name) for name in method], list(method.values())
    rows = np.atleast_2d(np.asarray(method))
    return [f"C{i + 1}" for i in range(len(rows))], rows


def polynomials(k: int) -> Array:
    """Orthogonal polynomials on k equally spaced points, in the smallest whole numbers.

    Those of Fisher & Yates (1963), Statistical Tables, table XXIII: Gram-Schmidt in exact fractions.

    Parameters
    ----------
    k : int

    Returns
    -------
    ndarray, shape (min(k - 1, 6), k)
        Degrees 1, 2, ...; the last coefficient is positive.

    Examples
    --------
    >>> polynomials(4).tolist()
    [[-3.0, -1.0, 1.0, 3.0], [1.0, -1.0, -1.0, 1.0], [-1.0, 3.0, -3.0, 1.0]]
    """
    basis: list[list[Fraction]] = []
    for degree in range(min(k - 1, _HIGHEST_DEGREE) + 1):
        row = [Fraction(i**degree) for i in range(k)]
        for lower in basis:
            scale = Fraction(sum(a * b for a, b in zip(row, lower, strict=True)), sum(b * b for b in lower))
            row = [a - scale * b for a, b in zip(row, lower, strict=True)]
        basis.append(row)
    return np.array([_whole(row) for row in basis[1:]], dtype=np.float64).reshape(-1, k)


def _whole(row: list[Fraction]) -> list[int]:
    common = lcm(*(value.denominator for value in row))
    numbers = [int(value * common) for value in row]
    divisor = gcd(*numbers) * (1 if numbers[-1] > 0 else -1)
    return [number // divisor for number in numbers]


def mean_labels(cells: pd.DataFrame) -> list[str]:
    """Names of means in contrasts, from the values of their factors.

    Values of a variable whose values are all numbers follow its name; a name with an arithmetic sign in it is set in
    parentheses. That is how emmeans writes them.

    Examples
    --------
    >>> mean_labels(pd.DataFrame({"diet": ["a-1", "b"], "week": [1, 2]}))
    ['(a-1 week1)', 'b week2']
    """
    if not cells.shape[1]:
        return ["overall"] * len(cells)
    parts = []
    for name in cells:
        values = [level_text(value) for value in cells[name]]
        numeric = all(_is_number(value) for value in values)
        parts.append([f"{name}{value}" if numeric else value for value in values])
    labels = [" ".join(row) for row in zip(*parts, strict=True)]
    return [f"({label})" if re.search(r"[-+*/]", label) else label for label in labels]


def level_text(value: object) -> str:
    """The label of a level: numbers as short as they are exact."""
    return f"{value:.7g}" if isinstance(value, (float, np.floating)) else str(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
