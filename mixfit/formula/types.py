"""What a mixed-model formula says, before any data are seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from formulaic.parser.types import Factor, Term

__all__ = ["MixedFormula", "RandomTerm", "Response"]


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
        The expressions inside ``cbind(...)``; None for any other response.
    """

    text: str
    factor: Factor
    arguments: tuple[str, ...] | None


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
    """

    text: str
    terms: tuple[Term, ...]
    groups: tuple[Factor, ...]
    structure: str
    options: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """Name of the grouping factor: ``"Subject"``, ``"batch:cask"``."""
        return ":".join(factor.expr for factor in self.groups)


@dataclass(frozen=True)
class MixedFormula:
    """A parsed formula ``response ~ fixed + (columns | group) + ...``.

    Attributes
    ----------
    text : str
        The formula as it was given.
    response : Response
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
    response: Response
    fixed: tuple[Term, ...]
    random: tuple[RandomTerm, ...]
    offsets: tuple[str, ...]
    variables: tuple[str, ...]
    uses_dot: bool
