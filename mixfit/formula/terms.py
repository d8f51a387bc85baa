"""What a mixed-model formula says before any data are seen, and the names that its expressions look up."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from formulaic.utils.code import sanitize_variable_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from formulaic.parser.types import Factor, Term


__all__ = [
    "CBIND",
    "CENSORED",
    "BareTerms",
    "MixedFormula",
    "RandomTerm",
    "Response",
    "bare_terms",
    "call_arguments",
    "called_name",
    "variables_of",
    "with_python_powers",
]

#: What a response is called by that is not one column: counts of successes and failures; times, seen or censored.
CBIND, CENSORED = "cbind", "censored"
#: Names of the columns that each term multiplies; none for the constant.
BareTerms = tuple[tuple[str, ...], ...]

_QUOTED_OR_POWER = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)|\^""")


@dataclass(frozen=True)
class Response:
    """The left-hand side of the formula.

    Attributes
    ----------
    text : str
        The expression as formulaic names it: ``"y"``, ``"log(y)"``, ``"cbind(a, b)"``.
    factor : formulaic Factor
        The same, ready to be looked up or evaluated.
    arguments : tuple of str, or None
        The expressions inside ``cbind(...)`` or ``censored(...)``; None for any other response.
    function : str, or None
        Which of these it is.
    """

    text: str
    factor: Factor
    arguments: tuple[str, ...] | None
    function: str | None = None

    @property
    def purpose(self) -> str:
        """Which models a response of a function is for."""
        return "times to an event" if self.function == CENSORED else "binomial models"


@dataclass(frozen=True)
class RandomTerm:
    """One random-effects term, with one grouping factor; ``a/b`` gives two of them.

    Attributes
    ----------
    text : str
        ``"(1 + Days | Subject)"``: the columns as written, and the one grouping factor.
    terms : tuple of formulaic Term
        The terms left of the bar, an implied intercept included, in formulaic's order.
    groups : tuple of formulaic Factor
        The factors whose interaction is the grouping factor; mostly one.
    structure : str
        Name of the covariance structure: ``"us"`` (``|``), ``"diag"`` (independent columns, ``||``), or as written.
    options : tuple of str
        What is written after the grouping factor: ``("d=2",)``.
    shared : str, or None
        Name of the covariance that it has with terms of other predictors: ``"a"`` of ``(1 | a | g)``.
    """

    text: str
    terms: tuple[Term, ...]
    groups: tuple[Factor, ...]
    structure: str
    options: tuple[str, ...] = ()
    shared: str | None = None

    @property
    def group(self) -> str:
        """Name of the grouping factor: ``"Subject"``, ``"batch:cask"``."""
        return ":".join(factor.expr for factor in self.groups)

    @cached_property
    def bare(self) -> BareTerms | None:
        """Its terms if they are all products of columns as they are, otherwise None."""
        return bare_terms(self.terms)


@dataclass(frozen=True)
class PredictorFormula:
    """A parsed linear predictor ``fixed + (columns | group) + ...``.

    Attributes
    ----------
    text : str
        The formula as it was given.
    fixed : tuple of formulaic Term
        Fixed-effects terms, an implied intercept included, in formulaic's order.
    random : tuple of RandomTerm
        In the order of the formula; a nested ``a/b`` is expanded (``a``, then ``a:b``).
    offsets : tuple of str
        The expressions inside ``offset(...)``; they add up.
    variables : tuple of str
        Every name that the data, the caller's context or the known functions must provide.
    uses_dot : bool
        Whether ``.`` stands for "all other columns". Until `parse` is told the columns, such a
        formula has nothing in the place of its dot.
    """

    text: str
    fixed: tuple[Term, ...]
    random: tuple[RandomTerm, ...]
    offsets: tuple[str, ...]
    variables: tuple[str, ...]
    uses_dot: bool

    @cached_property
    def bare(self) -> BareTerms | None:
        """Its fixed terms if they are all products of columns as they are, otherwise None."""
        return bare_terms(self.fixed)


@dataclass(frozen=True)
class MixedFormula(PredictorFormula):
    """A parsed formula ``response ~ fixed + (columns | group) + ...``: a response, and the predictor of its mean.

    Attributes
    ----------
    response : Response
    """

    response: Response


def bare_terms(terms: Iterable[Term]) -> BareTerms | None:
    """Names of each term's columns, none for the constant; None where a term computes anything."""
    found = []
    for term in terms:
        if all(factor.eval_method is factor.EvalMethod.LOOKUP for factor in term.factors):
            found.append(tuple(factor.expr for factor in term.factors))
        elif [factor.expr for factor in term.factors] == ["1"]:
            found.append(())
        else:
            return None
    return tuple(found)


def with_python_powers(code: str) -> str:
    """Write R's ``^`` as ``**``, outside quotes: Python would read it as exclusive or."""
    return _QUOTED_OR_POWER.sub(lambda match: match.group(1) or "**", code)


def called_name(code: str) -> str | None:
    """Return the name of the function if `code` is one call of a plain name, else None."""
    call, _ = _read_call(code)
    return None if call is None else call.func.id  # type: ignore[attr-defined]


def call_arguments(code: str) -> tuple[str, ...]:
    """Return the positional arguments of the call that `code` is, as expressions."""
    call, aliases = _read_call(code)
    if call is None or call.keywords:
        raise ValueError(f"`{code}` takes plain arguments only")
    return tuple(_restore(ast.unparse(argument), aliases) for argument in call.args)


def variables_of(factor: Factor) -> tuple[str, ...]:
    """Names that a factor looks up, the names of functions included, each once.

    formulaic's own `required_variables` is empty for stateful transforms such as ``poly(x, 2)``.
    """
    if factor.eval_method is factor.EvalMethod.LOOKUP:
        return (factor.expr,)
    if factor.eval_method is factor.EvalMethod.LITERAL:
        return ()
    aliases: dict[str, str] = {}
    plain = sanitize_variable_names(factor.expr, {}, aliases, template="_mixfit_{}")
    found: dict[str, None] = {}
    bound: set[str] = set()
    for node in ast.walk(ast.parse(plain, mode="eval")):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found[aliases.get(node.id, node.id)] = None
        elif isinstance(node, ast.Name):
            bound.add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Q":
            found.update({a.value: None for a in node.args if isinstance(a, ast.Constant)})  # type: ignore[misc]
    return tuple(name for name in found if name not in bound)


def _read_call(code: str) -> tuple[ast.Call | None, dict[str, str]]:
    aliases: dict[str, str] = {}
    # formulaic's own stand-ins for backticked names, which Python cannot read.
    plain = sanitize_variable_names(code, {}, aliases, template="_mixfit_{}")
    body = ast.parse(plain, mode="eval").body
    if isinstance(body, ast.Call) and isinstance(body.func, ast.Name):
        return body, aliases
    return None, aliases


def _restore(code: str, aliases: dict[str, str]) -> str:
    for alias, name in aliases.items():
        if alias != name:
            # Aliases are identifiers, and so is every place where one may stand.
            code = re.sub(rf"\b{alias}\b", f"`{name}`".replace("\\", r"\\"), code)
    return code
