"""formulaic's parser with two more operators: ``|`` and ``||`` inside parentheses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from formulaic.parser import DefaultFormulaParser, DefaultOperatorResolver
from formulaic.parser.types import Factor, Operator, OrderedSet, Term, Token

from mixfit.formula.errors import error_at_token
from mixfit.formula.structured import lift_structures
from mixfit.formula.tokens import Bar, find_bars, prepare_tokens, read_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

__all__ = ["BarTerm", "MixedFormulaParser"]


class BarTerm(Term):  # type: ignore[misc]
    """Everything between the parentheses of one random-effects term."""

    def __init__(self, columns: Iterable[Term], groups: Iterable[Term], symbol: str):
        self.columns = tuple(columns)
        self.groups = tuple(groups)
        self.symbol = symbol
        text = f"{' + '.join(map(repr, self.columns))} {symbol} {' + '.join(map(repr, self.groups))}"
        # Group names come from the formula's text, so that this token tells where the term stands.
        token: Token = self.groups[0].factors[0].token
        super().__init__([Factor(text, eval_method="lookup", token=token)])

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

        The raw tokens, the bars and the named structures are left in `context` for whoever needs the places.
        """
        plain, named = lift_structures(formula)
        tokens = read_tokens(plain)
        for token in tokens:
            token.source = formula
        bars: list[Bar] = find_bars(tokens, formula)
        context["__mixfit_tokens__"] = tokens
        context["__mixfit_bars__"] = bars
        context["__mixfit_named__"] = named
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
