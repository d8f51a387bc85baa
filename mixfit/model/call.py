"""How a model was made, so that it can be made again with changes: ``update``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from mixfit.brief import brief
from mixfit.errors import ArgumentError, FitError
from mixfit.formula.update import update_formula

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixfit.matrices.types import Design

    P = ParamSpec("P")
    M = TypeVar("M")

__all__ = ["Call", "remembered"]


@dataclass(frozen=True, eq=False)
class Call:
    """The arguments that a model was made from. Pickles without the data, and without names for its expressions.

    Attributes
    ----------
    make : callable
        ``mixfit.mixed`` or ``mixfit.nonlinear``.
    arguments : dict of str to object
        By name; the data are those of the user, not a copy.
    design : Design, or None
        What was made of them; a model of another design has other rows or another response.
    """

    make: Callable[..., Any]
    arguments: dict[str, Any]
    design: Design | None

    __repr__ = brief

    def __getstate__(self) -> dict[str, Any]:
        arguments = {name: value for name, value in self.arguments.items() if name not in ("data", "context")}
        return {"make": self.make, "arguments": arguments, "design": None}

    def changed(self, design: Design, formula: str | None, changes: dict[str, Any]) -> Any:
        """The model of changed arguments.

        Raises
        ------
        ArgumentError
            For an argument that there is not.
        FitError
            Where the data are not at hand, or the model is no longer that of them.
        FormulaError
            For a formula that cannot be changed so.
        """
        known = signature(self.make).parameters
        for name in changes:
            if name not in known or name == "formula":
                raise ArgumentError(f"update() has no argument {name!r}: it takes those of {self.make.__name__}().")
        if "data" not in changes and (self.design is None or design is not self.design):
            why = "came from a pickle, which leaves the data out" if self.design is None else "has rows or a response"
            own = "" if self.design is None else " other than those of its data"
            raise FitError(f"The model {why}{own}: give update() the data by data=.")
        arguments = self.arguments | changes
        if formula is not None:
            arguments["formula"] = update_formula(arguments["formula"], formula)
        return self.make(**arguments)


def remembered(make: Callable[P, M]) -> Callable[P, M]:
    """Let models know the arguments that they were made from."""
    parameters = signature(make)

    @wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> M:
        model = make(*args, **kwargs)
        arguments = dict(parameters.bind(*args, **kwargs).arguments)
        model.call = Call(made, arguments, model.design)  # type: ignore[attr-defined]
        return model

    return made
