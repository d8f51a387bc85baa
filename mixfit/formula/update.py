"""Formulas from others, as R's ``update.formula``: ``. ~ . - x + (1 | g)``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from formulaic.parser.types import Factor

from mixfit.errors import FormulaError
from mixfit.formula.parse import parse, parse_predictor
from mixfit.formula.structured import masked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from formulaic.parser.types import Term

    from mixfit.formula.terms import MixedFormula, RandomTerm

__all__ = ["random_key", "update_formula", "written"]

_DOT = re.compile(r"(?<![\w.\])`\"'])\.(?![\w.(])")
_NAME = re.compile(r"[^\W\d]\w*(\.\w+)*")


def update_formula(formula: str, change: str) -> str:
    """Change a formula, in which ``.`` stands for what there was.

    Parameters
    ----------
    formula : str
        ``response ~ fixed + (columns | group) + ...``
    change : str
        ``response ~ terms`` or ``~ terms``: on the left ``.`` is the response that there was, on the right its fixed
        terms, by themselves or within a product, and all its random terms. Terms are added and taken away, random
        ones such as ``(1 | g)`` too.

    Returns
    -------
    str
        With fixed terms written out, by their order, before the random ones.

    Raises
    ------
    FormulaError
        Where the change cannot be read, or takes away what the formula does not have.

    Examples
    --------
    >>> update_formula("Reaction ~ Days * Age + (Days | Subject)", ". ~ . - Days:Age")
    'Reaction ~ Days + Age + (Days | Subject)'
    >>> update_formula("Reaction ~ Days + (Days | Subject)", "log(.) ~ . + (1 | Lab) - (Days | Subject)")
    'log(Reaction) ~ Days + (1 | Lab)'
    """
    if formula.count("~") > 1:
        # response ~ curve ~ random, whose middle is no sum of terms.
        if change.count("~") > 1 and _DOT.search(change) is None:
            return change
        raise FormulaError(f"{formula!r} has three parts, and '.' stands for none of them: write the new one out.")
    old = parse(formula, random=None)
    left, tilde, right = change.rpartition("~")
    if not tilde:
        raise FormulaError(f"{change!r} is no change of a formula: write '. ~ . - x' to leave out x.")
    if old.uses_dot:
        raise FormulaError(
            f"'.' in {formula!r} stands for all other columns, and in a change for what there was: write the columns."
        )
    response = _DOT.sub(lambda _: _response(old), left.strip()) or _response(old)
    constant = any(_is_constant(term) for term in old.fixed)
    slopes = [written(term) for term in old.fixed if not _is_constant(term)]
    slopes += [f"offset({offset})" for offset in old.offsets]
    before = _DOT.search(right) is not None
    kept: dict[object, RandomTerm] = {random_key(term): term for term in old.random} if before else {}
    text = "0" if before and not constant else "1"
    for sign, given in _items(right):
        item = _DOT.sub(lambda _: f"({' + '.join(slopes) or '1'})", given)
        random = parse_predictor(f"~ 1 + {item}").random
        if random:
            _move(kept, sign, item, random)
            continue
        longer = f"{text} {sign} {item}"
        if sign == "-" and _terms(longer) == _terms(text):
            raise FormulaError(f"{given} cannot be taken away: the fixed terms are {', '.join(_terms(text))}.")
        text = longer
    terms = _terms(text)
    fixed = [term for term in terms if term != "1"]
    if "1" not in terms:
        fixed = ["0", *fixed]
    return f"{response} ~ {' + '.join([*(fixed or ['1']), *(term.text for term in kept.values())])}"


def random_key(term: RandomTerm) -> object:
    """What is the same of random terms that are the same, however they are written."""
    groups = frozenset(f.expr for f in term.groups)
    return frozenset(map(written, term.terms)), groups, term.structure, term.options, term.shared


def written(term: Term) -> str:
    """A term as a formula has it: names that are none in backticks."""
    return ":".join(_factor(factor) for factor in term.factors)


def _factor(factor: Factor) -> str:
    plain = factor.eval_method is not Factor.EvalMethod.LOOKUP or _NAME.fullmatch(factor.expr)
    return str(factor.expr) if plain else f"`{factor.expr}`"


def _response(old: MixedFormula) -> str:
    return _factor(old.response.factor)


def _is_constant(term: Term) -> bool:
    return written(term) == "1"


def _terms(text: str) -> list[str]:
    """Fixed terms and offsets, in the order of formulas."""
    found = parse_predictor(f"~ {text}")
    return [*map(written, found.fixed), *(f"offset({offset})" for offset in found.offsets)]


def _move(kept: dict[object, RandomTerm], sign: str, item: str, random: Sequence[RandomTerm]) -> None:
    for term in random:
        if sign == "+":
            kept[random_key(term)] = term
        elif kept.pop(random_key(term), None) is None:
            have = ", ".join(other.text for other in kept.values()) or "none"
            raise FormulaError(f"{item} cannot be taken away: the random terms are {have}.")


def _items(text: str) -> Iterator[tuple[str, str]]:
    """Terms between the signs that stand outside parentheses, each with its sign."""
    plain, depth, start, sign = masked(text), 0, 0, "+"
    for place, char in enumerate(plain):
        depth += (char in "([{") - (char in ")]}")
        # The sign of an exponent or of 1e-3 belongs to what is before it.
        if depth or char not in "+-" or re.search(r"(\*\*|\^|\d[eE])\s*$", plain[:place]):
            continue
        if item := text[start:place].strip():
            yield sign, item
        elif char == "-" and sign == "-":
            char = "+"
        start, sign = place + 1, char
    if item := text[start:].strip():
        yield sign, item
