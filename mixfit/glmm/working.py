"""The linear mixed model of the last scoring step of a generalized fit (see `mixfit.lmm.working`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.glmm.estimate import laplace_at
from mixfit.gram.pattern import FactorRows
from mixfit.lmm.working import WorkingModel

if TYPE_CHECKING:
    from mixfit.glmm.assemble import GeneralizedAssembly
    from mixfit.glmm.types import GeneralizedEstimate

__all__ = ["generalized_working_model"]


def generalized_working_model(assembly: GeneralizedAssembly, estimate: GeneralizedEstimate) -> WorkingModel:
    """The linear model of the scoring step at the conditional modes."""
    problem = assembly.problem
    center = laplace_at(assembly, estimate)
    mode, templates = center.mode, center.templates
    weights = mode.terms.expected
    working = mode.eta - problem.offset + mode.terms.score / weights
    columns = np.concatenate([problem.fixed, working[None]])
    factor = problem.factorize(weights, templates, columns)
    root = np.sqrt(weights)
    rows = tuple(
        FactorRows(f.codes, f.n_levels, root[None] if f.columns is None else f.columns * root)
        for f in problem.pattern.factors
    )
    return WorkingModel(rows, columns * root, factor, assembly.fixed, 1.0, None, reml=False)
