"""The grammar of mixed-model formulas: formulaic's, with the bars of random terms, and errors that show the place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from formulaic.parser import DefaultFormulaParser, DefaultOperatorResolver
from formulaic.parser.algos.sanitize_tokens import sanitize_tokens
from formulaic.parser.algos.tokenize import tokenize
from formulaic.parser.types import Factor, Operator, OrderedSet, Term, Token
from formulaic.parser.utils import merge_operator_tokens

from mixfit.formula.errors import error_at_token
from mixfit.formula.shared import lift_names
from mixfit.formula.structured import lift_structures
from mixfit.formula.terms import called_name, with_python_powers

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

    from mixfit.errors import FormulaError


__all__ = [
    "Bar",
    "BarTerm",
    "MixedFormulaParser",
    "find_bars",
    "prepare_tokens",
    "read_tokens",
]

_TILDE = re.compile("~")
# `as` is a word of Python's own, which no name may be.
_AS_FACTOR = re.compile(r"\bas\.factor\b")
_KIND = Token.Kind
_THREE_PARTS = (
    "A formula has one `~`; one of three parts, response ~ curve(covariates, parameters) ~ parameter | group, is a "
    "nonlinear model's: mixfit.nonlinear."
)


@dataclass(frozen=True)
class Bar:
    """The tokens of ``( ... | ... )``, by their places in the list of tokens."""

    opening: int
    bar: int
    closing: int


def read_tokens(formula: str) -> list[Token]:
    """Split the formula by formulaic's tokenizer; python tokens are checked and made uniform."""
    tokens: list[Token] = []
    for token in tokenize(formula):
        if token.kind is _KIND.PYTHON:
            tokens.append(_read_python(token, formula))
        elif token.kind is _KIND.OPERATOR and "~" in token.token:
            # The tokenizer joins neighbouring operators, as in `y ~ -1 + x`.
            tokens.extend(token.split(_TILDE, after=True, before=True))
        elif token.token == "0" and token.kind is _KIND.VALUE:
            tokens.append(token.copy_with_attrs(token="-", kind=_KIND.OPERATOR))
            tokens.append(token.copy_with_attrs(token="1"))
        else:
            tokens.extend(sanitize_tokens([token]))
    return [token for token in tokens if token.token]


def find_bars(tokens: list[Token], formula: str) -> list[Bar]:
    """Find every ``(columns | group)`` and check what only the order of tokens shows."""
    open_at: list[int] = []
    bar_of: dict[int, int] = {}
    bars: list[Bar] = []
    for i, token in enumerate(tokens):
        if token.kind is _KIND.CONTEXT and token.token in "[]":
            raise error_at_token("Square brackets group nothing in a formula: use parentheses.", token)
        if token.kind is _KIND.CONTEXT and token.token == "(":
            open_at.append(i)
        elif token.kind is _KIND.CONTEXT:
            # An unmatched closing mark is left for formulaic to report.
            opening = open_at.pop() if open_at else None
            if opening in bar_of:
                bars.append(Bar(opening, bar_of[opening], i))
        elif token.kind is _KIND.OPERATOR and "|" in token.token:
            _check_bar(token, open_at, bar_of)
            bar_of[open_at[-1]] = i
    for bar in bars:
        _check_inside(tokens, bar, formula)
    return sorted(bars, key=lambda bar: bar.opening)


def prepare_tokens(tokens: list[Token], bars: list[Bar]) -> list[Token]:
    """Insert the implied intercepts: after ``~``, and at the start of every bar's left side."""
    openings = {bar.opening for bar in bars}
    out: list[Token] = []
    for i, token in enumerate(tokens):
        out.append(token)
        if i in openings or token.token == "~":
            out.append(token.copy_with_attrs(token="1", kind=_KIND.VALUE))
            following = tokens[i + 1] if i + 1 < len(tokens) else None
            if following is not None and not _is_sign(following):
                out.append(token.copy_with_attrs(token="+", kind=_KIND.OPERATOR))
    # "x" "+" "-" "1", from "x + 0", must become one operator between x and 1.
    return list(merge_operator_tokens(out, symbols={"+", "-"}))


def _is_sign(token: Token) -> bool:
    return token.kind is _KIND.OPERATOR and token.token[0] in "+-"


def _read_python(token: Token, formula: str) -> Token:
    token.token = with_python_powers(token.token)
    try:
        (token,) = sanitize_tokens([token])
        called_name(token.token)
    except SyntaxError as error:
        if _AS_FACTOR.search(token.token):
            raise error_at_token("R's as.factor(x) is C(x) here.", token) from error
        raise error_at_token(f"`{token.token}` is not a Python expression ({error.msg})", token) from error
    return token


def _check_bar(token: Token, open_at: list[int], bar_of: dict[int, int]) -> None:
    if token.token not in ("|", "||"):
        raise error_at_token(f"`{token.token}` cannot be read: write (columns | group).", token)
    if not open_at:
        raise error_at_token("Put parentheses around random terms: y ~ x + (1 | g), not y ~ x | g.", token)
    if open_at[-1] in bar_of:
        raise error_at_token("Two bars in one pair of parentheses: write (columns | group).", token)


def _check_inside(tokens: list[Token], bar: Bar, formula: str) -> None:
    if bar.bar == bar.opening + 1 or bar.closing == bar.bar + 1:
        side = "left" if bar.bar == bar.opening + 1 else "right"
        raise error_at_token(f"Nothing stands on the {side} of the bar: write (columns | group).", tokens[bar.bar])
    for token in tokens[bar.bar + 1 : bar.closing]:
        if token.kind is _KIND.VALUE or (token.kind is _KIND.OPERATOR and token.token not in (":", "/")):
            raise _bad_group(token)


def _bad_group(token: Token) -> FormulaError:
    return error_at_token(
        f"`{token.token}` cannot stand in a grouping factor: right of the bar come names "
        "joined by `:` (interaction) or `/` (nesting).",
        token,
    )


class BarTerm(Term):  # type: ignore[misc]
    """Everything between the parentheses of one random-effects term."""

    def __init__(self, columns: Iterable[Term], groups: Iterable[Term], symbol: str):
        self.columns = tuple(columns)
        self.groups = tuple(groups)
        self.symbol = symbol
        text = f"{' + '.join(map(repr, self.columns))} {symbol} {' + '.join(map(repr, self.groups))}"
        # Group names come from the formula's text, so that this token tells where the term stands.
        token: Token = self.groups[0].factors[0].token
        # Terms of one text stay apart, so that one that is said twice can be told.
        super().__init__([Factor(f"{text} @ {token.source_start}", eval_method="lookup", token=token)])

    def __mul__(self, other: object) -> NoReturn:
        self._refuse_product()

    def __rmul__(self, other: object) -> NoReturn:
        self._refuse_product()

    def _refuse_product(self) -> NoReturn:
        raise error_at_token("A random term can only be added: write y ~ x + (1 | g).", self.factors[0].token)


class MixedOperatorResolver(DefaultOperatorResolver):  # type: ignore[misc]
    """formulaic's operators, with the bars of random terms in place of its multipart bar."""

    @property
    def operators(self) -> list[Operator]:
        """The operators that formulas may use."""
        kept = [operator for operator in super().operators if operator.symbol != "|"]
        return [*kept, _bar_operator("|"), _bar_operator("||")]


class MixedFormulaParser(DefaultFormulaParser):  # type: ignore[misc]
    """Reads ``y ~ x + (x | g)``; random terms come out as `BarTerm` among the fixed terms."""

    def __init__(self) -> None:
        super().__init__(operator_resolver=MixedOperatorResolver())

    def get_tokens_from_formula(self, formula: str, *, context: MutableMapping[str, Any]) -> Iterable[Token]:
        """Tokenize, check the bars and insert the implied intercepts.

        The raw tokens, the bars, the named structures and the shared names are left in `context` for whoever needs the
        places.
        """
        plain, named = lift_structures(formula)
        plain, shared = lift_names(plain)
        tokens = read_tokens(plain)
        for token in tokens:
            token.source = formula
        tildes = [token for token in tokens if token.kind is _KIND.OPERATOR and token.token == "~"]
        if len(tildes) > 1:
            raise error_at_token(_THREE_PARTS, tildes[1])
        bars: list[Bar] = find_bars(tokens, formula)
        context["__mixfit_tokens__"] = tokens
        context["__mixfit_bars__"] = bars
        context["__mixfit_named__"] = named
        context["__mixfit_shared__"] = shared
        # The caller names exactly the columns that `.` may stand for.
        context["__formulaic_variables_used_lhs__"] = ()
        return prepare_tokens(tokens, bars)


def _bar_operator(symbol: str) -> Operator:
    def to_terms(columns: OrderedSet[Term], groups: OrderedSet[Term]) -> OrderedSet[Term]:
        return OrderedSet([BarTerm(columns, groups, symbol)])

    return Operator(
        symbol,
        arity=2,
        precedence=-50,
        associativity=None,
        to_terms=to_terms,
        # The last item of the context is the innermost operator or parenthesis around the bar.
        accepts_context=lambda context: bool(context) and isinstance(context[-1], Token),
        structural=True,
    )
