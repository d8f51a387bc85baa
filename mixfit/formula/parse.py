"""Read a formula's text into a `MixedFormula`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from formulaic import SimpleFormula
from formulaic.errors import FormulaicError
from formulaic.parser.types import ASTNode, Factor, Term, Token

from mixfit.covariance.registry import structure_names
from mixfit.errors import FormulaError
from mixfit.formula.errors import error_at, error_at_token, from_formulaic
from mixfit.formula.grammar import BarTerm, MixedFormulaParser
from mixfit.formula.terms import (
    CBIND,
    CENSORED,
    MixedFormula,
    PredictorFormula,
    RandomTerm,
    Response,
    call_arguments,
    called_name,
    variables_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mixfit.formula.grammar import Bar
    from mixfit.formula.structured import NamedStructure

__all__ = ["parse", "parse_predictor"]

_PARSER = MixedFormulaParser()
_DOT = "."
_LITERAL = Factor.EvalMethod.LITERAL
_PYTHON = Factor.EvalMethod.PYTHON
# Responses of two columns, and how they are written.
_OF_TWO = {CBIND: "cbind(successes, failures)", CENSORED: "censored(time, event)"}


def parse(text: str, columns: tuple[str, ...] | None = None, *, random: bool | None = True) -> MixedFormula:
    """Read ``response ~ fixed + (columns | group) + ...``.

    Parameters
    ----------
    text : str
        The formula. All that is not a random term is formulaic's grammar.
    columns : tuple of str, optional
        The names that ``.`` stands for.
    random : bool or None
        Whether there must be a random term; otherwise there must be none. None where there may be some.

    Returns
    -------
    MixedFormula

    Raises
    ------
    FormulaError
        If the formula cannot be read, with the place, or if it holds no random term (with ``random=False``: one).
    """
    if not isinstance(text, str):
        raise FormulaError(f"A formula is a string such as 'y ~ x + (1 | g)', not {type(text).__name__}.")
    return _parse(text, columns, random, structure_names())


def parse_predictor(text: str, columns: tuple[str, ...] | None = None) -> PredictorFormula:
    """Read ``~ fixed + (columns | group) + ...``: a linear predictor without a response, for what is not the mean.

    Parameters
    ----------
    text : str
        Random terms may stand in it or not.
    columns : tuple of str, optional
        The names that ``.`` stands for.

    Returns
    -------
    PredictorFormula

    Raises
    ------
    FormulaError
        If the formula cannot be read, with the place, or names a response.

    Examples
    --------
    >>> predictor = parse_predictor("~ x + (1 | g)")
    >>> [str(term) for term in predictor.fixed], [term.text for term in predictor.random]
    (['1', 'x'], ['(1 | g)'])
    """
    if not isinstance(text, str):
        raise FormulaError(f"The formula of a predictor is a string such as '~ x', not {type(text).__name__}.")
    return _parse_predictor(text, columns, structure_names())


# Formulas are immutable once read, and a session fits few formulas many times. What a name means around a bar
# depends on the structures there are.
@lru_cache(maxsize=256)
def _parse(
    text: str, columns: tuple[str, ...] | None, needs_random: bool | None, structures: tuple[str, ...]
) -> MixedFormula:
    found = _read(text, columns, response=True)
    if found.bars and needs_random is False:
        raise error_at(
            "This model takes no random terms: its units are named by by=.",
            found.source,
            found.raw[found.bars[0].opening].source_start,
            found.raw[found.bars[0].closing].source_start,
        )
    if not found.bars and needs_random:
        raise error_at(
            "The formula has no random term such as (1 | group). For a model without one say how its residuals are "
            "correlated by residual=, or use statsmodels: statsmodels.formula.api.ols.",
            found.source,
        )
    assert found.response is not None
    predictor = _predictor(text, found)
    names = dict.fromkeys(_without_calls(variables_of(found.response.factor)) + predictor.variables)
    return MixedFormula(
        text=text,
        response=found.response,
        fixed=predictor.fixed,
        random=predictor.random,
        offsets=predictor.offsets,
        variables=tuple(names),
        uses_dot=predictor.uses_dot,
    )


@lru_cache(maxsize=256)
def _parse_predictor(text: str, columns: tuple[str, ...] | None, structures: tuple[str, ...]) -> PredictorFormula:
    return _predictor(text, _read(text, columns, response=False))


@dataclass(frozen=True)
class _Read:
    """Terms and response of a formula, with the tokens that say where each stands."""

    source: str
    response: Response | None
    terms: list[Term]
    bars: list[Bar]
    raw: list[Token]
    named: Mapping[int, NamedStructure]
    shared: Mapping[int, str]
    uses_dot: bool


def _read(text: str, columns: tuple[str, ...] | None, *, response: bool) -> _Read:
    source = "".join(" " if char.isspace() else char for char in text)
    # Until the columns are known a name that no column has holds the place of the dot.
    context: dict[str, Any] = {"__formulaic_variables_available__": (_DOT,) if columns is None else columns}
    try:
        tokens = list(_PARSER.get_tokens_from_formula(source, context=context))
        dot = next((t for t in context["__mixfit_tokens__"] if _is_dot(t)), None)
        if dot is not None and columns == ():
            raise error_at_token("`.` stands for no column: each has another place in the model.", dot)
        ast = _PARSER.get_ast_from_tokens(tokens, context=context)
        left = _read_response(ast, source) if response else None
        if not response:
            _refuse_response(ast, source)
        sides = _PARSER.get_terms_from_ast(ast, context=context)
        terms = [term for term in (sides.rhs if response else sides.root) if not _holds_dot(term)]
    except FormulaicError as error:
        raise from_formulaic(error, source) from error
    except SyntaxError as error:
        # From a number that is none, such as `..`, where formulaic takes a power.
        raise error_at(f"The formula holds something that is not Python ({error.msg}).", source) from error
    bars, raw, named, shared = (context[f"__mixfit_{what}__"] for what in ("bars", "tokens", "named", "shared"))
    return _Read(source, left, terms, bars, raw, named, shared, dot is not None)


def _predictor(text: str, found: _Read) -> PredictorFormula:
    random = tuple(_read_random(found))
    fixed = [term for term in found.terms if not isinstance(term, BarTerm) and not _is_offset(term)]
    return PredictorFormula(
        text=text,
        fixed=_in_order(fixed),
        random=random,
        offsets=tuple(_read_offsets(found.terms)),
        variables=_variables(found.terms, random),
        uses_dot=found.uses_dot,
    )


def _in_order(terms: Iterable[Term]) -> tuple[Term, ...]:
    """Order terms by degree, as formulaic does for every formula."""
    return tuple(SimpleFormula(list(terms)))


def _read_response(ast: ASTNode | Token | None, source: str) -> Response:
    if not isinstance(ast, ASTNode) or ast.operator.symbol != "~" or ast.operator.arity != 2:
        raise error_at("The formula names no response: write response ~ fixed + (columns | group).", source)
    left = ast.args[0]
    if isinstance(left, ASTNode) or left.kind is Token.Kind.VALUE:
        raise error_at(
            "The response must be one column or one expression; wrap arithmetic in I(), as in I(a - b) ~ x.",
            source,
            len(source) - len(source.lstrip()),
            len(source.partition("~")[0].rstrip()) - 1,
        )
    factor = left.to_factor()
    function = called_name(left.token) if left.kind is Token.Kind.PYTHON else None
    if function not in _OF_TWO:
        return Response(text=factor.expr, factor=factor, arguments=None)
    arguments = call_arguments(left.token)
    if len(arguments) != 2:
        raise error_at_token(f"{function} takes two columns: {_OF_TWO[function]}.", left)
    return Response(text=factor.expr, factor=factor, arguments=arguments, function=function)


def _refuse_response(ast: ASTNode | Token | None, source: str) -> None:
    if not isinstance(ast, ASTNode) or ast.operator.symbol != "~" or ast.operator.arity != 1:
        raise error_at("This predictor has no response: write ~ fixed + (columns | group).", source)


def _read_random(found: _Read) -> Iterator[RandomTerm]:
    source, raw = found.source, found.raw
    bar_terms = [term for term in found.terms if isinstance(term, BarTerm)]
    said: dict[object, str] = {}
    for bar in found.bars:
        start = raw[bar.opening].source_start
        end = raw[bar.closing].source_start
        here = [term for term in bar_terms if start <= term.factors[0].token.source_start <= end]
        if not here:
            raise error_at(
                "This random term is taken out of the formula; random terms can only be added.", source, start, end
            )
        left, name = source[start + 1 : raw[bar.bar].source_start].strip(), found.shared.get(start)
        if name is not None:
            left = f"{left.rpartition('|')[0].strip()} | {name}"
        for term in _expand(here[0], left, source, start, end, found.named.get(start), name):
            groups = frozenset(factor.expr for factor in term.groups)
            same = frozenset(term.terms), groups, term.structure, term.options
            if same in said:
                message = f"{term.text} is said twice: {said[same]} is the same. Leave one out."
                raise error_at(message, source, start, end)
            said[same] = term.text
            yield term


def _expand(
    term: BarTerm,
    left: str,
    source: str,
    start: int,
    end: int,
    named: NamedStructure | None,
    shared: str | None,
) -> Iterator[RandomTerm]:
    for column in term.columns:
        for factor in column.factors:
            if (factor.eval_method is _LITERAL and factor.expr != "1") or isinstance(column, BarTerm):
                raise error_at(f"`{factor.expr}` cannot stand left of a bar.", source, start, end)
        if _is_offset(column):
            raise error_at("offset(...) cannot stand left of a bar.", source, start, end)
    columns = _in_order(column for column in term.columns if not _holds_dot(column))
    if not columns and not any(map(_holds_dot, term.columns)):
        raise error_at("No column is left on the left of the bar.", source, start, end)
    if named is None:
        # What lme4's two bars stand for.
        structure, bar = ("us", "|") if term.symbol == "|" else ("diag", "||")
        for group in term.groups:
            yield RandomTerm(f"({left} {bar} {group!r})", columns, tuple(group.factors), structure, (), shared)
        return
    if term.symbol == "||":
        raise error_at(f"`||` makes the columns independent: write | in {named.name}(... | ...).", source, start, end)
    for group in term.groups:
        inside = ", ".join([f"{left} | {group!r}", *named.options])
        yield RandomTerm(f"{named.name}({inside})", columns, tuple(group.factors), named.name, named.options, shared)


def _is_dot(token: Token) -> bool:
    return bool(token.token == "." and token.kind is Token.Kind.OPERATOR)


def _holds_dot(term: Term) -> bool:
    return any(factor.expr == _DOT for factor in term.factors)


def _is_offset(term: Term) -> bool:
    return any(f.eval_method is _PYTHON and called_name(f.expr) == "offset" for f in term.factors)


def _read_offsets(terms: list[Term]) -> Iterator[str]:
    for term in terms:
        if isinstance(term, BarTerm) or not _is_offset(term):
            continue
        factor = term.factors[0]
        arguments = call_arguments(factor.expr) if len(term.factors) == 1 else ()
        if len(arguments) != 1:
            raise error_at_token("An offset is added on its own, with one argument: offset(x).", factor.token)
        yield arguments[0]


def _variables(terms: list[Term], random: tuple[RandomTerm, ...]) -> tuple[str, ...]:
    factors = [factor for term in terms if not isinstance(term, BarTerm) for factor in term.factors]
    for term in random:
        factors += [factor for column in term.terms for factor in column.factors]
        factors += term.groups
    return _without_calls(tuple(dict.fromkeys(name for factor in factors for name in variables_of(factor))))


def _without_calls(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names but for the functions that only formulas know."""
    return tuple(name for name in names if name not in ("offset", *_OF_TWO))
