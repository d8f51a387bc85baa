"""What a user is told of a plan: which effects are eliminated level by level, what is left, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixfit.factor.plan import SymbolicPlan

__all__ = ["FactorPlan", "factor_plan"]


@dataclass(frozen=True)
class FactorPlan:
    """How the Cholesky factor of a model's random effects is computed.

    Attributes
    ----------
    nested : tuple of str
        Grouping factors that are eliminated level by level, at a cost in proportion to their levels.
    crossed : tuple of str
        Those that cross them, or whose levels are related.
    solver : {"none", "dense", "sparse", "iterative"}
        How the effects of `crossed` are held, once the others are eliminated.
    columns : int
        How many they are.
    entries : float
        Numbers in their Cholesky factor.
    flops : float
        Multiplications and additions of one factorization of them.
    memory : float
        Bytes that it takes, derivatives included.

    Examples
    --------
    >>> import mixfit
    >>> plates = mixfit.datasets.load("penicillin_plates")
    >>> model = mixfit.mixed("diameter ~ 1 + (1 | plate) + (1 | sample)", plates)
    >>> print(model.plan)
    eliminated level by level: plate
    crossed with them: sample, 6 effects, dense
      entries          36
      multiplications  576
      memory           1.15e-06 GB
    """

    nested: tuple[str, ...]
    crossed: tuple[str, ...]
    solver: Literal["none", "dense", "sparse", "iterative"]
    columns: int
    entries: float
    flops: float
    memory: float

    def __repr__(self) -> str:
        lines = [f"eliminated level by level: {', '.join(self.nested)}"] if self.nested else []
        if self.crossed:
            before = "crossed with them" if self.nested else "eliminated together"
            lines += [
                f"{before}: {', '.join(self.crossed)}, {self.columns:,} effects, {self.solver}",
                f"  entries          {self.entries:,.0f}",
                f"  multiplications  {self.flops:.3g}",
                f"  memory           {self.memory / 1e9:.3g} GB",
            ]
        return "\n".join(lines or ["no random effects"])


def factor_plan(plan: SymbolicPlan, names: Sequence[str]) -> FactorPlan:
    """The plan for grouping factors of these names."""
    nested, crossed = (tuple(names[i] for i in part) for part in (plan.chain, plan.trailing))
    if plan.block is None:
        return FactorPlan(nested, crossed, "none", 0, 0.0, 0.0, 0.0)
    cost = plan.block.cost
    return FactorPlan(nested, crossed, plan.block.kind, plan.columns.m, cost.entries, cost.flops, cost.memory)
