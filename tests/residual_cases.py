"""Small models with residual structures, and their covariance as the definition says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
import pandas as pd

from mixfit.lmm.residual import forms
from mixfit.lmm.residual.criterion import JointPlace
from mixfit.lmm.residual.form import ResidualPoint
from mixfit.lmm.residual.series import SeriesForm
from mixfit.lmm.residual.start import joint_starts
from mixfit.model.mixed import mixed
from tests.dense import full_z

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.residual.criterion import ResidualProblem
    from mixfit.model.residual import ResidualMixedModel

    Array = NDArray[np.float64]

__all__ = ["CASES", "FORMS", "SERIES", "Case", "dense_covariance", "model_of", "random_place", "trial"]


@dataclass(frozen=True)
class Case:
    """Arguments of `mixed` for the rows of `trial`."""

    formula: str
    residual: str | None = None
    dispersion: str | None = None
    weights: str | None = None


CASES = {
    "unstructured": Case("y ~ x + arm", "us(visit | subject)"),
    "unstructured by arm": Case("y ~ x", "us(visit | subject), by=arm"),
    "autoregression": Case("y ~ x", "ar1(visit | subject)", weights="w"),
    "toeplitz": Case("y ~ x", "toep(visit | subject)"),
    "compound symmetry in strata": Case("y ~ arm", "homcs(visit | subject)", "~ arm"),
    "continuous time": Case("y ~ x", "car1(time | subject)"),
    "continuous time with a nugget": Case("y ~ x", "ou(time | subject, nugget)"),
    "continuous time by arm": Case("y ~ x", "ou(time | subject, nugget), by=arm", weights="w"),
    "one field": Case("y ~ 1", "exp(time + x | field)", "~ x"),
    "strata alone": Case("y ~ x", None, "~ arm"),
    "slopes and autoregression": Case("y ~ x + (x | subject)", "ar1(visit | subject)"),
    "nested and unstructured": Case("y ~ x + (1 | site) + (1 | subject)", "us(visit | subject)", weights="w"),
    "crossed in strata": Case("y ~ x + (1 | subject) + (1 | visit)", None, "~ arm + x"),
    "fields of two arms": Case("y ~ x", "gau(time + x | subject), by=arm"),
    "smooth field": Case("y ~ x", "mat(time + x | site)"),
    "slopes and continuous time": Case("y ~ arm + (x | site) + (1 | subject)", "ou(time | subject)"),
    "slopes and a nugget by arm": Case("y ~ x + (x | subject)", "exp(time | subject, nugget), by=arm"),
    "slopes, continuous time and strata": Case("y ~ arm + (x || site)", "ou(time | subject)", "~ arm"),
}


def trial(seed: int = 0, subjects: int = 16, visits: int = 4, missing: float = 0.2) -> pd.DataFrame:
    """Rows of subjects in sites and arms, some visits missing, in no order."""
    rng = np.random.default_rng(seed)
    subject, visit = np.divmod(np.flatnonzero(rng.random(subjects * visits) >= missing), visits)
    n = len(subject)
    frame = pd.DataFrame(
        {
            "subject": subject.astype(str),
            "site": (subject // 4).astype(str),
            "arm": np.where(subject % 2, "drug", "placebo"),
            "field": "f",
            "visit": (visit + 1).astype(str),
            "time": np.round(visit + rng.uniform(0.0, 0.8, n), 3),
            "x": np.round(rng.normal(size=n), 3),
            "w": rng.integers(1, 4, n).astype(float),
            "y": rng.normal(size=n) + 0.3 * subject,
        }
    )
    return frame.sample(frac=1.0, random_state=seed).reset_index(drop=True)


#: Cases whose correlations are products of those of neighbours, one after another by the form of their covariance.
SERIES = [
    name
    for name, case in CASES.items()
    if case.residual is not None and case.dispersion is None and case.residual.startswith(("ar1", "car1", "ou", "exp"))
]
#: Every case in the form that small blocks take, and these as series.
FORMS = [*((name, False) for name in CASES), *((name, True) for name in SERIES if name != "one field")]


def model_of(case: Case, seed: int = 0, subjects: int = 16, *, series: bool = False) -> ResidualMixedModel:
    """The model of a case, its residuals as series or as patterns of blocks."""
    with mock.patch.object(forms, "_are_irregular", return_value=series):
        model = mixed(
            case.formula,
            trial(seed, subjects),
            weights=case.weights,
            residual=case.residual,
            dispersion=case.dispersion,
        )
    assert isinstance(model.form, SeriesForm) == series
    return model


def random_place(problem: ResidualProblem, seed: int) -> JointPlace:
    """A place of regular covariances near a start."""
    rng = np.random.default_rng(seed)
    start = joint_starts(problem)[0]
    random = [
        point + 0.2 * rng.normal(size=point.shape) * (np.tril(np.ones(point.shape)) if point.ndim > 1 else 1.0)
        for point in start.random
    ]
    own = []
    for point in start.residual.points:
        if point.ndim > 1:
            own.append(point + 0.1 * np.tril(rng.normal(size=point.shape)))
        else:
            own.append(point * rng.uniform(0.8, 1.2, point.shape))
    gamma = 0.3 * rng.normal(size=problem.form.g)
    return JointPlace(tuple(random), ResidualPoint(tuple(own), gamma))


def dense_covariance(model: ResidualMixedModel, place: JointPlace) -> Array:
    """V over sigma^2, shape (n, n), row by row from the definition."""
    residual, problem, design = model.residual, model.problem, model.design
    pairs = zip(problem.form.structures, place.residual.points, strict=True)
    templates = [structure.relative_factor(point) for structure, point in pairs]
    sd = np.exp(residual.spread @ place.residual.gamma)
    if design.weights is not None:
        sd = sd / np.sqrt(design.weights)
    v = np.zeros((len(sd), len(sd)))
    for i in range(len(sd)):
        for j in range(len(sd)):
            if residual.block[i] == residual.block[j]:
                t = templates[residual.part[i]]
                v[i, j] = (t @ t.T)[residual.place[i], residual.place[j]] * sd[i] * sd[j]
    for term, basis, own, point in zip(design.random, problem.term_bases, problem.terms, place.random, strict=True):
        t = np.linalg.solve(basis, own.structure.relative_factor(point))
        z = full_z(term)
        v += z @ np.kron(np.eye(term.grouping.n_levels), t @ t.T) @ z.T
    return v
