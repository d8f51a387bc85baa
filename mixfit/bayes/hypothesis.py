"""The probability of a statement on parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.bayes import convergence
from mixfit.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mixfit.bayes.draws import PosteriorDraws

    Array = NDArray[np.float64]

__all__ = ["Hypothesis", "hypothesis"]

_NUMBER = re.compile(r"\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?")
_OPERATORS = "+-*/()"


@dataclass(frozen=True)
class Hypothesis:
    """The posterior probability of a statement.

    Attributes
    ----------
    statement : str
    probability : float
    error : float
        Its Monte Carlo standard error.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> round(fit.sample(seed=1).hypothesis("Days > 0").probability, 2)
    1.0
    """

    statement: str
    probability: float
    error: float

    @property
    def odds(self) -> float:
        """Probability of the statement over that of its contrary."""
        return self.probability / (1.0 - self.probability) if self.probability < 1.0 else np.inf


def hypothesis(posterior: PosteriorDraws, statement: str) -> Hypothesis:
    """Return the posterior probability of a statement on parameters.

    Parameters
    ----------
    statement : str
        Two sums of parameters and numbers with ``<`` or ``>`` between them: ``"Days > 8"``,
        ``"sd(Subject, Days) < 0.5 * sigma"``, ``"ranef(Subject, 308, Days) > ranef(Subject, 309, Days)"``.

    Returns
    -------
    Hypothesis

    Raises
    ------
    FitError
        For what cannot be read as such a statement.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> steeper = fit.sample(seed=1).hypothesis("ranef(Subject, 308, Days) > ranef(Subject, 309, Days)")
    >>> steeper.probability
    1.0
    """
    sides = re.split(r"[<>]=?", statement)
    if len(sides) != 2:
        raise FitError(f"{statement!r}: a hypothesis has one '<' or '>' between two sums of parameters and numbers.")
    draws = posterior.draws
    left, right = (_Side(side, draws).value() for side in sides)
    holds = np.broadcast_to(left < right if "<" in statement else left > right, posterior.kept.beta.shape[:2])
    x = holds.astype(float)[:, :, None]
    error = float(convergence.mcse_mean(x)[0])
    return Hypothesis(statement, float(x.mean()), 0.0 if np.isnan(error) else error)


class _Side:
    """One side of a statement, read from left to right: sum := product (+- product)*, product := atom (*/ atom)*."""

    def __init__(self, text: str, draws: Mapping[str, Array]) -> None:
        self._text, self._rest = text.strip(), text.strip()
        # The longest name first: one may begin with another.
        self._draws, self._names = draws, sorted(draws, key=len, reverse=True)

    def value(self) -> Array:
        out = self._sum()
        if self._rest:
            self._fail()
        return out

    def _fail(self) -> None:
        at = self._rest or "the end"
        raise FitError(
            f"{self._text!r} cannot be read at {at!r}: it is a sum of numbers and parameters such as "
            f"{', '.join(self._names[-3:])}."
        )

    def _take(self, *tokens: str) -> str:
        for token in tokens:
            if self._rest.startswith(token):
                self._rest = self._rest[len(token) :].lstrip()
                return token
        return ""

    def _sum(self) -> Array:
        out = self._product()
        while sign := self._take("+", "-"):
            other = self._product()
            out = out + other if sign == "+" else out - other
        return out

    def _product(self) -> Array:
        out = self._atom()
        while sign := self._take("*", "/"):
            other = self._atom()
            out = out * other if sign == "*" else out / other
        return out

    def _atom(self) -> Array:
        if self._take("-"):
            return -self._atom()
        name = self._take(*self._names)
        if name:
            return self._draws[name]
        if self._take("("):
            out = self._sum()
            if not self._take(")"):
                self._fail()
            return out
        number = _NUMBER.match(self._rest)
        if number is None:
            self._fail()
            raise AssertionError
        self._take(number.group())
        return np.array(float(number.group()))
