"""Which random effects a prediction keeps: ``re_form`` matched against the terms of the model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FormulaError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.matrices.types import RandomDesign

__all__ = ["ReForm", "Selection", "is_marginal", "select"]

# None, "population", False, a formula, or names of grouping factors
ReForm = str | bool | float | Sequence[str] | None

# for every term of the model, the columns that are kept
Selection = tuple["NDArray[np.bool_]", ...]

# Asks for averages over all of them, which only predicted means have.
_MARGINAL = "marginal"
_NONE = {"population", "0", "-1", "na", "none", "nan", ""}


def select(re_form: ReForm, random: Sequence[RandomDesign]) -> Selection:
    """Find the columns of the random terms that `re_form` asks for.

    Parameters
    ----------
    re_form : None, str, False or sequence of str
        None keeps every term. ``"population"``, ``False``, ``"~0"`` and NA keep none. A formula
        such as ``"~(1 | Subject)"`` keeps the named columns of the terms of that grouping factor.
        A grouping factor's name keeps all its terms; so does each name of a list, which may
        hold formulas too.
    random : sequence of RandomDesign
        The terms of the model.

    Returns
    -------
    tuple of ndarray of bool, shape (k_t,)

    Raises
    ------
    FormulaError
        For a term, column or grouping factor that the model does not have.

    Examples
    --------
    >>> from mixfit.covariance.unstructured import Unstructured
    >>> from mixfit.matrices.types import Grouping, RandomDesign
    >>> import pandas as pd
    >>> g = Grouping("g", np.array([0, 1]), pd.Index(["a", "b"]))
    >>> term = RandomDesign(g, ("Intercept", "x"), np.ones((2, 2)), Unstructured(2), "(x | g)")
    >>> select("~(1 | g)", [term])[0].tolist()
    [True, False]
    """
    if is_marginal(re_form):
        raise FormulaError(
            "re_form='marginal' averages over the random effects, which only means on the scale of the response need: "
            "predict(type='response') and get_prediction of a generalized or a linear model take it."
        )
    if re_form is None:
        return tuple(np.ones(len(term.columns), dtype=bool) for term in random)
    kept = tuple(np.zeros(len(term.columns), dtype=bool) for term in random)
    if re_form is False or _is_missing(re_form):
        return kept
    if isinstance(re_form, str):
        re_form = [re_form]
    if not isinstance(re_form, Sequence):
        msg = f"re_form must be None, 'population', a formula or names of grouping factors, not {re_form!r}"
        raise FormulaError(msg)
    for request in re_form:
        _keep(str(request), random, kept)
    return kept


def is_marginal(re_form: ReForm) -> bool:
    """Whether a form asks for averages over the random effects.

    Examples
    --------
    >>> is_marginal("marginal"), is_marginal(None)
    (True, False)
    """
    return isinstance(re_form, str) and re_form.strip().lower() == _MARGINAL


def _is_missing(value: object) -> bool:
    # pandas.NA compares as NA, so it is known by its name
    return (isinstance(value, float) and np.isnan(value)) or type(value).__name__ == "NAType"


def _keep(request: str, random: Sequence[RandomDesign], kept: Selection) -> None:
    """Mark in `kept` what one request asks for."""
    text = request.strip().removeprefix("~").strip()
    if text.lower() in _NONE:
        return
    same_name = [t for t, term in enumerate(random) if _parts(term.grouping.name) == _parts(text)]
    if same_name:
        for t in same_name:
            kept[t][:] = True
        return
    if "|" not in text:
        raise FormulaError(_unknown(request, random))
    for bar in _bars(text):
        _keep_bar(bar, random, kept)


def _keep_bar(bar: str, random: Sequence[RandomDesign], kept: Selection) -> None:
    as_written = [t for t, term in enumerate(random) if _bare(term.text) == _bare(bar)]
    if as_written:
        for t in as_written:
            kept[t][:] = True
        return
    left, right = (side.strip() for side in re.split(r"\|\|?", bar, maxsplit=1))
    wanted = _columns_asked(left)
    for group in _expand(right):
        terms = [t for t, term in enumerate(random) if _parts(term.grouping.name) == group]
        for factors in wanted:
            found = False
            for t in terms:
                match = np.array([_factors(column) == factors for column in _columns(random[t])])
                kept[t][match] = True
                found = found or bool(match.any())
            if not found:
                raise FormulaError(_unknown(f"({bar})", random))


def _columns(term: RandomDesign) -> tuple[str, ...]:
    """What is written left of the bar, by column."""
    if term.shared is not None:
        # Those of other predictors go with the mean's of the same name.
        return term.shared.names
    return term.columns if term.spread is None else (term.spread.column,) * len(term.columns)


def _unknown(request: str, random: Sequence[RandomDesign]) -> str:
    terms = ", ".join(f"({' + '.join(dict.fromkeys(_columns(term)))} | {term.grouping.name})" for term in random)
    return f"re_form asks for {request}, which the model does not have; its random terms are {terms}"


def _bare(text: str) -> str:
    text = re.sub(r"\s", "", text)
    return text[1:-1] if text.startswith("(") and _closing(text, 0) == len(text) - 1 else text


def _closing(text: str, start: int) -> int:
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if depth == 0:
            return i
    msg = f"re_form: no closing parenthesis in {text!r} for the one at position {start}"
    raise FormulaError(msg)


def _bars(text: str) -> Iterator[str]:
    """Yield the terms of a formula that hold a bar, without their parentheses."""
    i = 0
    outside: list[str] = []
    while i < len(text):
        if text[i] == "(":
            end = _closing(text, i)
            inner = text[i + 1 : end]
            if "|" in inner and (not outside or outside[-1] in "+ "):
                yield inner.strip()
            else:
                outside.append(text[i : end + 1])
            i = end + 1
        else:
            outside.append(text[i])
            i += 1
    rest = "".join(outside).strip(" +")
    if "|" in rest:
        yield rest
    elif rest not in ("", "0", "1", "-1"):
        msg = f"re_form: {rest!r} is not a random term such as (1 | group)"
        raise FormulaError(msg)


def _parts(name: str) -> frozenset[str]:
    return frozenset(re.sub(r"[\s`]", "", part) for part in name.split(":"))


def _expand(group: str) -> list[frozenset[str]]:
    """Name the grouping factors of ``a:b`` (itself) and ``a/b`` (``a`` and ``a:b``)."""
    nested = group.strip("() ").split("/")
    return [_parts(":".join(nested[: i + 1])) for i in range(len(nested))]


def _factors(column: str) -> frozenset[str]:
    """Variables of a column name: its levels and its column numbers left out."""
    plain = re.sub(r"\[[^\]]*\]", "", re.sub(r"[\s`]", "", column))
    return frozenset("1" if part == "Intercept" else part for part in plain.split(":"))


def _columns_asked(left: str) -> list[frozenset[str]]:
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    try:
        terms = [str(term) for term in Formula(left)]
    except FormulaicError as error:
        msg = f"re_form: cannot read {left!r} on the left of the bar"
        raise FormulaError(msg) from error
    return [_factors(term) for term in terms]
