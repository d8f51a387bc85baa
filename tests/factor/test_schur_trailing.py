"""The sparse trailing block against dense matrices, and fits by it against fits by the dense block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import mixfit
from mixfit import machine
from mixfit.errors import DesignError
from mixfit.factor.schur_trailing import SchurBlock, SchurFactor, schur_block
from tests.factor.cases import WIDTHS, check_derivatives, check_inverse, check_solves, make_case
from tests.random_designs import PATTERNS

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixfit.arguments import Solver
    from tests.factor.cases import Case

CROSSED = [p for p in PATTERNS if "crossed" in p]


@pytest.mark.parametrize("zero", [0.0, 0.4])
@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("pattern", CROSSED)
def test_the_factor_is_that_of_the_dense_matrix(pattern: str, widths: tuple[int, ...], zero: float) -> None:
    case = make_case(8, pattern, 60, widths, zero, make_trailing=schur_block)
    assert isinstance(case.factor.trailing, SchurFactor)
    check_solves(case)
    check_inverse(case)
    check_derivatives(case)


cases = st.builds(
    make_case,
    st.integers(0, 2**20),
    st.sampled_from(CROSSED),
    st.integers(20, 70),
    st.sampled_from(WIDTHS),
    st.sampled_from([0.0, 0.0, 0.4]),
    st.sampled_from([0.1, 1.0, 5.0]),
    st.just(schur_block),
)


@given(cases)
@settings(max_examples=40, deadline=None)
def test_any_design(case: Case) -> None:
    check_solves(case)
    check_inverse(case)
    check_derivatives(case)


def schools(seed: int = 1, n_schools: int = 8) -> pd.DataFrame:
    """Pupils crossed with teachers inside of schools."""
    rng = np.random.default_rng(seed)
    pupil = np.repeat(np.arange(n_schools * 10), 4)
    teacher = pupil // 10 * 3 + rng.integers(0, 3, len(pupil))
    x = rng.normal(size=len(pupil))
    eta = x * (1.0 + 0.5 * rng.normal(size=n_schools * 3)[teacher]) + rng.normal(size=pupil.max() + 1)[pupil]
    eta += rng.normal(size=n_schools * 3)[teacher]
    y = eta + rng.normal(size=len(pupil))
    z = (rng.random(len(pupil)) < 1.0 / (1.0 + np.exp(-eta))).astype(int)
    return pd.DataFrame({"pupil": pupil, "teacher": teacher, "x": x, "y": y, "z": z, "w": rng.normal(size=len(pupil))})


def answers(fit: Any) -> dict[str, Any]:
    """What every part of the factor has a share in."""
    frames = {
        "params": fit.params,
        "bse": fit.bse,
        "varcorr": fit.varcorr().to_frame()["vcov"],
        "predict": fit.predict(schools().head(5), se=True),
        "influence": fit.cooks_distance(by="pupil"),
        "hatvalues": fit.hatvalues(),
        **{f"ranef {name}": frame for name, frame in fit.ranef(condsd=True).items()},
    }
    return {"llf": np.array([fit.llf]), **{name: f.to_numpy(dtype=float) for name, f in frames.items()}}


def linear(solver: Solver) -> dict[str, Any]:
    fit = mixfit.mixed("y ~ x + (1|pupil) + (x|teacher)", schools(), solver=solver).fit()
    return {
        **answers(fit),
        "satterthwaite": fit.ttest().frame.to_numpy(dtype=float),
        "kenward-roger": fit.ttest(ddf="kenward-roger").frame.to_numpy(dtype=float),
        "profile": fit.conf_int(method="profile").to_numpy(dtype=float),
        "bootstrap": fit.bootstrap(n=4, seed=1).replicates.to_numpy(dtype=float),
        "ranova": fit.ranova().frame.select_dtypes("number").to_numpy(dtype=float),
        "sample": fit.sample(draws=16, chains=1, seed=1).to_frame().to_numpy(dtype=float),
    }


def boundary(solver: Solver) -> dict[str, Any]:
    """Slopes of teachers that the data have none of."""
    model = mixfit.mixed("y ~ x + (1|pupil) + (1|teacher) + (0 + w|teacher)", schools(3), solver=solver)
    fit = model.fit()
    assert fit.is_singular
    return answers(fit)


def generalized(solver: Solver) -> dict[str, Any]:
    model = mixfit.mixed("z ~ x + (1|pupil) + (1|teacher)", schools(), family="binomial", solver=solver)
    return answers(model.fit())


def residual(solver: Solver) -> dict[str, Any]:
    model = mixfit.mixed("y ~ x + (1|pupil) + (1|teacher)", schools(), dispersion="~ x", solver=solver)
    fit = model.fit()
    return {"llf": np.array([fit.llf]), "params": fit.params.to_numpy(), "bse": fit.bse.to_numpy()}


@pytest.mark.parametrize("model", [linear, boundary, generalized, residual])
def test_fits_are_those_of_the_dense_block(model: Callable[[Solver], dict[str, Any]]) -> None:
    dense = model("dense")
    for name, values in model("sparse").items():
        assert_allclose(values, dense[name], rtol=1e-6, atol=1e-6, err_msg=name)


def test_the_sparse_block_was_used() -> None:
    model = mixfit.mixed("y ~ x + (1|pupil) + (x|teacher)", schools(), solver="sparse")
    assert isinstance(model.assembly.problem.plan.block, SchurBlock)
    assert model.plan.solver == model.fit().plan.solver == "sparse"
    assert (model.plan.nested, model.plan.crossed, model.plan.columns) == (("pupil",), ("teacher",), 48)


def test_parts_that_do_not_meet_are_fronts_of_their_own() -> None:
    plans = [mixfit.mixed("y ~ x + (1|pupil) + (1|teacher)", schools(1, n), solver="sparse").plan for n in (20, 200)]
    assert plans[1].flops < 11 * plans[0].flops
    assert plans[1].memory < 11 * plans[0].memory


def test_the_order_of_elimination_leaves_no_more_than_the_fronts_have_room_for() -> None:
    model = mixfit.mixed("y ~ x + (1|pupil) + (x|teacher)", schools(), solver="sparse")
    order = model.elimination_order
    assert sorted(order) == list(range(model.exog_re.shape[1]))
    half = (model.exog_re @ model.Lambda(np.array([1.0, 0.8, 0.3, 0.6]))).toarray()[:, order]
    L = np.linalg.cholesky(half.T @ half + np.eye(len(order)))
    rest = L[-48:, -48:]
    assert np.count_nonzero(np.abs(rest) > 1e-12) <= model.plan.entries
    assert np.count_nonzero(np.abs(rest) > 1e-12) < 0.2 * 48 * 49 / 2


def test_a_block_larger_than_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_SMALL_MEMORY", 0.0)
    monkeypatch.setattr(machine, "machine_memory", lambda: 1e3)
    with pytest.raises(DesignError, match="their sparse block needs"):
        make_case(8, "crossed", 60, (1,), make_trailing=schur_block)
