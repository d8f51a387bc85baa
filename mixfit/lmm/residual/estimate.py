"""Fit a linear model with a covariance of residuals, and carry the estimates back to the user's columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.steps import split_theta
from mixfit.errors import DesignError
from mixfit.gram.residual import ResidualStage
from mixfit.lmm.assemble import Assembly, assemble, random_rows
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.estimate import packed
from mixfit.lmm.residual.criterion import JointPlace, residual_problem
from mixfit.lmm.residual.minimize import minimize_joint
from mixfit.lmm.residual.stage import BlockResidual, flat_parameters, point_at
from mixfit.lmm.residual.start import joint_starts
from mixfit.lmm.types import Kept, LinearEstimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.residual.criterion import JointEvaluation, ResidualProblem
    from mixfit.lmm.residual.form import ResidualForm
    from mixfit.matrices.residual import ResidualDesign
    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]

__all__ = ["ResidualEstimate", "assembly_at", "estimate_residual", "joint_problem", "place_of"]


@dataclass(frozen=True, eq=False)
class ResidualEstimate(LinearEstimate):
    """The estimates of a Gaussian model whose residuals have a covariance with parameters.

    Attributes
    ----------
    psi : ndarray
        Theta of every residual structure, then the coefficients of the log standard deviations; see
        :mod:`mixfit.lmm.residual.stage`. Relative to sigma, which is the standard deviation of a residual at the
        first place of the first part, where the columns of the log standard deviations are zero.
    n_fixed : int
        How many of them are known beforehand: the first standard deviation, which is 1.
    assembly : Kept of Assembly
        The cross-products of the rows whitened by them.
    """

    psi: Array = field(default_factory=lambda: np.empty(0))
    n_fixed: int = 0
    assembly: Kept[Assembly] = field(default_factory=Kept, init=False, repr=False)

    @property
    def n_residual(self) -> int:
        """Parameters of the residuals beside sigma."""
        return len(self.psi) - self.n_fixed


def joint_problem(design: Design, form: ResidualForm, residual: ResidualDesign) -> ResidualProblem:
    """Rows, times the roots of the weights, in blocks.

    Raises
    ------
    DesignError
        Where a block has rows of several levels of a random effect: its rows would be mixed, whitened, in a way that
        no level can be told from.
    """
    design.refuse_estimates("residuals with a covariance")
    _check_levels(design, residual)
    root = None if design.weights is None else np.sqrt(design.weights)
    stage = ResidualStage(root)
    rows, terms, bases = random_rows(design.random, stage)
    y = design.y if design.offset is None else design.y - design.offset
    X = stage.whiten(np.ascontiguousarray(design.X.T))
    return residual_problem(
        form, X, stage.whiten(y), design.endog_name, rows, terms, bases, stage.log_precision, design.solver
    )


def _check_levels(design: Design, residual: ResidualDesign) -> None:
    if residual.blocks is None:
        return
    for term in design.random:
        codes = term.grouping.codes
        of_block = np.zeros(residual.blocks.n_levels, dtype=np.intp)
        of_block[residual.block] = codes
        other = np.flatnonzero(of_block[residual.block] != codes)
        if len(other):
            raise DesignError(
                f"{term.text}: the rows of {residual.blocks.name} {residual.blocks.levels[residual.block[other[0]]]} "
                f"are of several levels of {term.grouping.name}. Beside residual={residual.text!r} the blocks of "
                "correlated residuals must lie within the levels of every random effect: nest the blocks, or describe "
                "the correlation by a structured random effect."
            )


def estimate_residual(design: Design, problem: ResidualProblem, *, reml: bool) -> ResidualEstimate:
    """Minimize the criterion from moment estimates."""
    form = problem.form
    optimum = minimize_joint(problem, joint_starts(problem), reml=reml)
    found = optimum.derivatives.at
    place, unit = _normalized(problem, found)
    psi = flat_parameters(form, place.residual)
    assembly = assembly_at(design, form, psi)
    points = [
        t.structure.point_of(t.structure.theta_of(point, old), new)
        for t, point, old, new in zip(problem.terms, place.random, problem.term_bases, assembly.term_bases, strict=True)
    ]
    profile = evaluate(assembly.problem, points, reml=reml)
    plain = packed(assembly, profile, optimum.certificate)
    own = {name: getattr(plain, name) for name in plain.__dataclass_fields__ if name != "at"}
    estimate = ResidualEstimate(**own, psi=psi, n_fixed=int(unit > 0.0))
    estimate.at.keep(profile)
    estimate.assembly.keep(assembly)
    return estimate


def _normalized(problem: ResidualProblem, found: JointEvaluation) -> tuple[JointPlace, float]:
    """The same place relative to the first standard deviation of the residuals, and what that was."""
    structures, place = problem.form.structures, found.place
    first, unit = place.residual.points[0], 0.0
    if problem.form.has_own_points:
        unit = float(first[0])
    elif structures[0].n_deviations:
        unit = float(np.linalg.norm(structures[0].relative_factor(first)[0]))
    share = 1.0 / unit if unit else 1.0
    residual = type(place.residual)(
        tuple(s.scaled(point, share) for s, point in zip(structures, place.residual.points, strict=True)),
        place.residual.gamma,
    )
    terms = problem.terms
    random = tuple(t.structure.scaled(point, share) for t, point in zip(terms, place.random, strict=True))
    return JointPlace(random, residual), unit


def assembly_at(design: Design, form: ResidualForm, psi: Array) -> Assembly:
    """The cross-products of the rows whitened by the residuals' covariance."""
    return assemble(design, BlockResidual(form), psi)


def place_of(problem: ResidualProblem, estimate: ResidualEstimate) -> JointPlace:
    """The place of an estimate."""
    thetas = split_theta([t.structure for t in problem.terms], estimate.theta) if problem.terms else []
    random = [
        t.structure.point_of(theta, basis)
        for t, theta, basis in zip(problem.terms, thetas, problem.term_bases, strict=True)
    ]
    return JointPlace(tuple(random), point_at(problem.form, estimate.psi))
