"""From a formula and a frame to estimates: what must not change them, and what must be refused."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.sparse import issparse

import mixfit
from mixfit.errors import DataError, DesignError
from tests import oracle
from tests.optimize.small_data import small_data

if TYPE_CHECKING:
    from mixfit.results import LinearResults

SLOPES = "y ~ x + (x|g)"
CROSSED = "y ~ x + (1|g) + (1|h)"
NESTED = "y ~ x + (1|k/g)"
FORMULAS = [SLOPES, CROSSED, NESTED, "y ~ x + (x||g)"]

formulas = pytest.mark.parametrize("formula", FORMULAS)
methods = pytest.mark.parametrize("reml", [True, False])


def data(seed: int = 0, q: int = 24, m: int = 8) -> pd.DataFrame:
    """Intercepts and slopes a group, crossed and nesting factors: every variance well above zero."""
    rng = np.random.default_rng(seed)
    g, n = np.repeat(np.arange(q), m), q * m
    h = rng.integers(0, 9, n)
    x = rng.normal(size=n)
    y = 1 + 2 * x + rng.normal(size=q)[g] + rng.normal(size=q)[g] * x + rng.normal(size=9)[h]
    y += 1.5 * rng.normal(size=6)[g // 4] + rng.normal(size=n)
    return pd.DataFrame(
        {
            "y": y,
            "x": x,
            "g": [f"g{i:02d}" for i in g],
            "h": [f"h{i}" for i in h],
            "k": [f"k{i // 4}" for i in g],
        }
    )


def fit(formula: str, frame: object, reml: bool = True, **options: object) -> LinearResults:
    return mixfit.mixed(formula, frame, **options).fit(reml=reml)  # type: ignore[arg-type]


def components(result: LinearResults) -> np.ndarray:
    """Variances and covariances."""
    return result.varcorr().to_frame()["vcov"].to_numpy()


def assert_same(a: LinearResults, b: LinearResults, rtol: float = 1e-6) -> None:
    assert_allclose(b.deviance, a.deviance, rtol=1e-9)
    assert_allclose(components(b), components(a), rtol=10 * rtol, atol=rtol * components(a).max())
    assert_allclose(b.params, a.params, rtol=rtol, atol=rtol)
    assert_allclose(b.bse, a.bse, rtol=10 * rtol)


@formulas
@methods
def test_order_of_the_rows(formula: str, reml: bool) -> None:
    frame = data()
    shuffled = frame.sample(frac=1, random_state=1)
    one, other = fit(formula, frame, reml), fit(formula, shuffled, reml)
    assert_same(one, other)
    assert_allclose(other.fittedvalues.loc[frame.index], one.fittedvalues, atol=1e-5)
    for g, table in one.ranef().items():
        assert_allclose(other.ranef()[g].loc[table.index], table, atol=1e-5)


@formulas
def test_names_of_the_levels(formula: str) -> None:
    frame = data()
    rng = np.random.default_rng(2)
    renamed = frame.copy()
    names = {}
    for column in ("g", "h", "k"):
        old = sorted(frame[column].unique())
        names[column] = dict(zip(old, [f"{column}_{j}" for j in rng.permutation(len(old))], strict=True))
        renamed[column] = frame[column].map(names[column])
    one, other = fit(formula, frame), fit(formula, renamed)
    assert_same(one, other)
    for g, table in one.ranef().items():
        new = [
            ":".join(names[c][v] for c, v in zip(g.split(":"), level.split(":"), strict=True)) for level in table.index
        ]
        assert_allclose(other.ranef()[g].loc[new].to_numpy(), table.to_numpy(), atol=1e-5)


@pytest.mark.parametrize("dtype", ["category", "object", "numbers", "booleans"])
def test_types_of_the_groups(dtype: str) -> None:
    frame = data()
    other = frame.copy()
    if dtype == "numbers":
        other["g"] = frame["g"].str[1:].astype(int) * 10
    elif dtype == "booleans":
        frame["h"] = frame["h"].isin(["h0", "h1", "h2"]).map({True: "yes", False: "no"})
        other["h"] = frame["h"] == "yes"
    else:
        other["g"] = frame["g"].astype(dtype)
    assert_same(fit(CROSSED, frame), fit(CROSSED, other))


def test_unused_categories_are_no_levels() -> None:
    frame = data()
    wide = frame.assign(g=pd.Categorical(frame["g"], categories=["none", *sorted(frame["g"].unique()), "other"]))
    other = fit(SLOPES, wide)
    assert_same(fit(SLOPES, frame), other)
    assert len(other.ranef()["g"]) == 24


@formulas
@methods
def test_shift_of_y(formula: str, reml: bool) -> None:
    frame = data()
    # What 1e9 leaves of the response in double precision is the response of both fits.
    shifted = frame.assign(y=frame["y"] + 1e9)
    frame = frame.assign(y=shifted["y"] - 1e9)
    one, other = fit(formula, frame, reml), fit(formula, shifted, reml)
    assert_allclose(other.deviance, one.deviance, rtol=1e-6)
    assert_allclose(components(other), components(one), rtol=1e-6, atol=1e-6)
    assert_allclose(other.params["Intercept"] - 1e9, one.params["Intercept"], atol=1e-5)
    assert_allclose(other.params["x"], one.params["x"], rtol=1e-6)
    assert_allclose(other.bse, one.bse, rtol=1e-6)


@formulas
@methods
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_scale_of_y(formula: str, reml: bool, scale: float) -> None:
    frame = data()
    one, other = fit(formula, frame, reml), fit(formula, frame.assign(y=frame["y"] * scale), reml)
    nu = one.nobs - (2 if reml else 0)
    assert_allclose(other.deviance, one.deviance + 2 * nu * np.log(scale), rtol=1e-9)
    assert_allclose(other.theta, one.theta, rtol=1e-6)
    assert_allclose(components(other) / scale**2, components(one), rtol=1e-6)
    assert_allclose(other.params / scale, one.params, rtol=1e-6)
    assert_allclose(other.bse / scale, one.bse, rtol=1e-6)


@formulas
@methods
def test_scale_of_x(formula: str, reml: bool) -> None:
    frame = data()
    one, other = fit(formula, frame, reml), fit(formula, frame.assign(x=frame["x"] * 1e6), reml)
    # log|X'X| is part of the REML criterion: it grows by the log of the square of the factor.
    expected = one.deviance + (2 * np.log(1e6) if reml else 0.0)
    assert_allclose(other.deviance, expected, rtol=1e-9)
    assert_allclose(other.sigma, one.sigma, rtol=1e-6)
    ours, theirs = other.varcorr().to_frame(), one.varcorr().to_frame()
    # A variance has its column once, as var1 alone.
    power = ours["var1"].eq("x") * (1 + ours["var2"].isna()) + ours["var2"].eq("x")
    assert_allclose(ours["vcov"] * 1e6**power, theirs["vcov"], rtol=1e-6, atol=1e-7)
    assert_allclose(other.params * [1, 1e6], one.params, rtol=1e-6)
    assert_allclose(other.bse * [1, 1e6], one.bse, rtol=1e-6)
    assert_allclose(other.fittedvalues, one.fittedvalues, atol=1e-6)


@pytest.mark.parametrize("shift", [30.0, 300.0, 1e4])
@methods
def test_shift_of_x(reml: bool, shift: float) -> None:
    frame = data()
    shifted = frame.assign(x=frame["x"] + shift)
    frame = frame.assign(x=shifted["x"] - shift)
    one, other = fit(SLOPES, frame, reml), fit(SLOPES, shifted, reml)
    assert_allclose(other.deviance, one.deviance, rtol=1e-7)
    assert_allclose(other.sigma, one.sigma, rtol=1e-6)
    assert_allclose(other.params["x"], one.params["x"], rtol=1e-6)
    assert_allclose(other.bse["x"], one.bse["x"], rtol=1e-6)
    # The slopes' variance is the same; the intercepts' is that of the lines far outside the data.
    slope, there = one.varcorr()["g"], other.varcorr()["g"]
    assert_allclose(there.loc["x", "x"], slope.loc["x", "x"], rtol=1e-6)
    back = np.array([[1.0, shift], [0.0, 1.0]])
    assert_allclose(back @ there.to_numpy() @ back.T, slope.to_numpy(), rtol=1e-4, atol=1e-5)
    assert_allclose(other.fittedvalues, one.fittedvalues, atol=1e-6)


@pytest.mark.parametrize(
    "spelling",
    [
        "y ~ x + (1|k) + (1|k:g)",
        "y ~ x + (1|k:g) + (1|k)",
        "y ~ x + (1|k) + (1|g:k)",
        "y ~ x + (1|k) + (1|g)",
        "x + (1|k/g)",
    ],
)
def test_spellings_of_nesting(spelling: str) -> None:
    if not spelling.startswith("y"):
        spelling = f"y ~ {spelling}"
    frame = data()
    one, other = fit(NESTED, frame), fit(spelling, frame)
    assert_allclose(other.deviance, one.deviance, rtol=1e-10)
    assert_allclose(np.sort(components(other)), np.sort(components(one)), rtol=1e-5)
    assert_allclose(other.params, one.params, rtol=1e-6)


def test_spellings_of_terms() -> None:
    frame = data()
    for a, b in [
        (SLOPES, "y ~ 1 + x + (1 + x|g)"),
        ("y ~ x + (x||g)", "y ~ x + (1|g) + (0 + x|g)"),
        ("y ~ 0 + x + (1|g)", "y ~ x - 1 + (1|g)"),
        ("log(y**2) ~ x + (1|g)", "np.log(y**2) ~ x + (1|g)"),
        ("y ~ x + I(x**2) + (1|g)", "y ~ poly(x, 2, raw=True) + (1|g)"),
    ]:
        one, other = fit(a, frame), fit(b, frame)
        assert_allclose(other.deviance, one.deviance, rtol=1e-10, err_msg=b)
        assert_allclose(components(other), components(one), rtol=1e-5)


@formulas
def test_three_libraries_of_frames(formula: str) -> None:
    frame = data()
    wanted = fit(formula, frame)
    for other in (pl.from_pandas(frame), pa.Table.from_pandas(frame)):
        got = fit(formula, other)
        assert got.deviance == wanted.deviance
        assert got.theta.tolist() == wanted.theta.tolist()
        assert got.params.to_dict() == wanted.params.to_dict()


@settings(max_examples=15)
@given(st.integers(0, 2**20), st.sampled_from(FORMULAS[:3]), st.booleans())
def test_invariances_together(seed: int, formula: str, reml: bool) -> None:
    frame = data(seed)
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal() * 100, 10.0 ** rng.uniform(-4, 4), 10.0 ** rng.uniform(-4, 4)
    moved = frame.assign(y=a + b * frame["y"], x=c * frame["x"]).sample(frac=1, random_state=seed % 1000)
    one, other = fit(formula, frame, reml), fit(formula, moved, reml)
    nu = one.nobs - (2 if reml else 0)
    shift = 2 * nu * np.log(b) + (2 * np.log(c) if reml else 0.0)
    assert one.converged
    assert other.converged
    assert_allclose(other.deviance, one.deviance + shift, rtol=1e-9, atol=1e-6)
    assert_allclose(other.params["x"] * c / b, one.params["x"], rtol=1e-5, atol=1e-5)
    assert_allclose(other.sigma / b, one.sigma, rtol=1e-5)


def test_rank_deficient_x() -> None:
    frame = data()
    rng = np.random.default_rng(0)
    frame["z"] = rng.normal(size=len(frame))
    frame["w"] = frame["x"] - 2 * frame["z"] + 3
    model = mixfit.mixed("y ~ x + z + w + (1|g)", frame)
    assert model.aliased == ("w",)
    assert model.exog_names == ("Intercept", "x", "z")
    assert model.exog.shape == (len(frame), 3)
    for reml in (True, False):
        one, other = fit("y ~ x + z + (1|g)", frame, reml), model.fit(reml=reml)
        assert_allclose(other.deviance, one.deviance, rtol=1e-10)
        assert other.df_resid == one.df_resid
        assert other.params.index.tolist() == ["Intercept", "x", "z"]
        assert_allclose(other.params, one.params, rtol=1e-7)
    assert "w" in str(other.summary())


def test_empty_cells_are_aliased() -> None:
    frame = data()
    frame["a"] = np.where(frame["x"] > 0, "hi", "lo")
    frame["b"] = np.where(frame["x"] > 0.5, "top", np.where(frame["x"] > 0, "mid", "low"))
    model = mixfit.mixed("y ~ a * b + (1|g)", frame)
    assert len(model.exog_names) == 3
    assert set(model.aliased) | set(model.exog_names) == set(model.design.exog_names)
    assert np.linalg.matrix_rank(model.design.X) == 3
    assert np.isfinite(model.fit().deviance)


@formulas
@methods
def test_new_response(formula: str, reml: bool) -> None:
    frame = data()
    model = mixfit.mixed(formula, frame)
    first = model.fit(reml=reml)
    y = frame["y"].to_numpy() + np.random.default_rng(1).normal(size=len(frame))
    wanted = fit(formula, frame.assign(y=y), reml)
    for other in (model.with_response(y).fit(reml=reml), first.refit(y)):
        assert_allclose(other.deviance, wanted.deviance, rtol=1e-12)
        assert_allclose(other.theta, wanted.theta, rtol=1e-9)
        assert_allclose(other.params, wanted.params, rtol=1e-10)
        assert other.reml is reml
    # The model it came from is what it was.
    assert np.array_equal(model.endog, frame["y"])
    assert model.fit(reml=reml).deviance == first.deviance


def test_new_response_with_weights_and_offset() -> None:
    frame = data().assign(w=np.random.default_rng(3).gamma(2.0, size=192) + 0.1, o=np.arange(192) / 10)
    y = frame["x"] + np.random.default_rng(4).normal(size=192)
    wanted = fit(SLOPES, frame.assign(y=y), weights="w", offset="o")
    got = fit(SLOPES, frame, weights="w", offset="o").refit(y)
    assert_allclose(got.deviance, wanted.deviance, rtol=1e-12)
    assert_allclose(got.params, wanted.params, rtol=1e-9)


def test_new_responses_that_are_none() -> None:
    model = mixfit.mixed(SLOPES, data())
    with pytest.raises(DataError, match="shape"):
        model.with_response(np.zeros(5))
    with pytest.raises(DataError, match="missing or infinite"):
        model.with_response(np.full(192, np.nan))
    with pytest.raises(DesignError, match="explain the response 'y' perfectly"):
        model.with_response(model.design.X @ np.array([2.0, 3.0]))


@methods
@formulas
def test_weights_and_offset_against_the_dense_model(formula: str, reml: bool) -> None:
    rng = np.random.default_rng(5)
    frame = data(q=12, m=6).assign(w=rng.gamma(2.0, size=72) + 0.1, o=rng.normal(size=72))
    model = mixfit.mixed(formula, frame, weights="w", offset="o")
    result = model.fit(reml=reml)
    best, where = oracle.best_criterion(model.design, reml=reml, starts=2)
    at = oracle.solve(model.design, where, reml=reml)
    assert_allclose(result.deviance, best, atol=1e-6)
    assert_allclose(result.sigma, at.sigma, rtol=1e-3)
    assert_allclose(result.params, at.beta, atol=1e-3 * np.sqrt(at.cov_beta.diagonal()).max())


def test_equal_weights_are_a_change_of_sigma() -> None:
    frame = data()
    one, other = fit(SLOPES, frame, reml=False), fit(SLOPES, frame, reml=False, weights=np.full(192, 4.0))
    assert_allclose(other.deviance, one.deviance, rtol=1e-10)
    assert_allclose(other.sigma, 2 * one.sigma, rtol=1e-6)
    assert_allclose(other.theta, one.theta / 2, rtol=1e-5)
    assert_allclose(other.params, one.params, rtol=1e-7)
    assert_allclose(other.bse, one.bse, rtol=1e-6)


@methods
def test_replicated_rows_are_weighted_means(reml: bool) -> None:
    # Rows that repeat within a cell of x and group, against the cell means with the counts as weights: at any
    # theta they differ by the sum of squares within cells and its degrees of freedom, and by nothing else.
    from mixfit.lmm.estimate import criterion

    rng = np.random.default_rng(6)
    cells = data(q=12, m=4)
    counts = rng.integers(1, 5, len(cells))
    rows = cells.loc[cells.index.repeat(counts)].reset_index(drop=True)
    cell = np.repeat(np.arange(len(cells)), counts)
    noise = rng.normal(size=len(rows))
    rows["y"] += noise
    means = cells.assign(y=np.bincount(cell, rows["y"]) / counts, w=counts)
    within = np.sum((rows["y"] - means["y"].to_numpy()[cell]) ** 2)
    many, few = mixfit.mixed(SLOPES, rows), mixfit.mixed(SLOPES, means, weights="w")
    p = 2 if reml else 0
    for template in (np.eye(2), np.array([[0.5, 0.0], [-0.3, 0.7]])):
        left = criterion(many._assembly, [template], reml=reml)
        right = criterion(few._assembly, [template], reml=reml)
        a, b = len(rows) - p, len(cells) - p
        other = oracle.solve(few.design, [template], reml=reml)
        r2 = other.sigma**2 * b
        expected = (
            right
            - b * (1 + np.log(2 * np.pi * r2 / b))
            + np.log(counts).sum()
            + a * (1 + np.log(2 * np.pi * (r2 + within) / a))
        )
        assert_allclose(left, expected, rtol=1e-10)


def test_rows_of_weight_zero_are_left_out() -> None:
    frame = data().assign(w=1.0)
    frame.loc[frame.index[::7], "w"] = 0.0
    one, other = fit(SLOPES, frame[frame["w"] > 0]), fit(SLOPES, frame, weights="w")
    assert other.nobs == one.nobs
    assert_allclose(other.deviance, one.deviance, rtol=1e-12)


@methods
def test_offset_is_subtracted(reml: bool) -> None:
    frame = data()
    frame["o"] = 3 * frame["x"] ** 2 - 100
    wanted = fit(SLOPES, frame.assign(y=frame["y"] - frame["o"]), reml)
    for other in (
        fit(SLOPES, frame, reml, offset="o"),
        fit(SLOPES, frame, reml, offset=frame["o"].to_numpy()),
        fit("y ~ x + offset(o) + (x|g)", frame, reml),
        fit("y ~ x + offset(o / 2) + (x|g)", frame, reml, offset="o / 2"),
    ):
        assert_allclose(other.deviance, wanted.deviance, rtol=1e-10)
        assert_allclose(other.params, wanted.params, rtol=1e-7)
        assert_allclose(other.fittedvalues - frame["o"], wanted.fittedvalues, atol=1e-6)


def test_a_linear_offset_moves_one_coefficient() -> None:
    frame = data()
    one, other = fit(SLOPES, frame), fit(SLOPES, frame, offset=5 * frame["x"].to_numpy())
    assert_allclose(other.deviance, one.deviance, rtol=1e-10)
    assert_allclose(other.params["x"] + 5, one.params["x"], rtol=1e-7)
    assert_allclose(components(other), components(one), rtol=1e-5)


def test_singular_fits_have_every_answer() -> None:
    result = mixfit.mixed("Yield ~ 1 + (1|Batch)", mixfit.datasets.load("dyestuff2")).fit()
    assert result.is_singular
    assert result.converged
    y = result.model.endog
    assert_allclose(result.params["Intercept"], y.mean(), rtol=1e-12)
    assert_allclose(result.sigma, y.std(ddof=1), rtol=1e-12)
    assert_allclose(result.bse["Intercept"], y.std(ddof=1) / np.sqrt(30), rtol=1e-12)
    assert (result.ranef()["Batch"] == 0).all(axis=None)
    assert (result.ranef(condsd=True)["Batch"]["sd"] == 0).all(axis=None)
    predicted = result.predict(se=True)
    assert_allclose(predicted["mean_se"], y.std(ddof=1) / np.sqrt(30), rtol=1e-12)


@formulas
def test_exog_re_is_the_dense_z(formula: str) -> None:
    model = mixfit.mixed(formula, data())
    assert issparse(model.exog_re)
    dense = np.hstack([oracle.expand(r).reshape(192, -1) for r in model.design.random])
    assert np.array_equal(model.exog_re.toarray(), dense)
    result = model.fit()
    modes = np.concatenate([m.ravel() for m in result.estimate.modes])
    fixed = model.exog @ result.params.to_numpy()
    assert_allclose(fixed + model.exog_re @ modes, result.fittedvalues, atol=1e-10)


@formulas
def test_pickles(formula: str) -> None:
    frame = data()
    model = mixfit.mixed(formula, frame, weights=np.full(192, 2.0))
    result = model.fit()
    wanted = str(result.summary())
    again = pickle.loads(pickle.dumps(result))
    assert str(again.summary()) == wanted
    assert again.deviance == result.deviance
    assert again.certificate.n_evaluations == result.certificate.n_evaluations
    assert_allclose(again.predict(frame.head()), result.predict(frame.head()), rtol=1e-12)
    assert_allclose(again.predict(frame.head(), se=True), result.predict(frame.head(), se=True), rtol=1e-9)
    assert_allclose(again.refit(frame["y"]).deviance, result.deviance, rtol=1e-12)
    assert pickle.loads(pickle.dumps(model)).fit().deviance == result.deviance


def test_the_users_frame_is_not_changed_nor_followed() -> None:
    frame = data()
    before = frame.copy(deep=True)
    model = mixfit.mixed("y ~ x + I(x**2) + (x|g) + (1|h)", frame, weights=np.ones(192))
    first = model.fit()
    pd.testing.assert_frame_equal(frame, before)
    frame["y"] = 0.0
    frame["x"] = 0.0
    assert model.fit().deviance == first.deviance


def test_fits_of_one_model_share_nothing_that_changes() -> None:
    model = mixfit.mixed(SLOPES, data())
    first = model.fit(reml=True)
    model.fit(reml=False)
    assert model.fit(reml=True).deviance == first.deviance


def test_attributes() -> None:
    frame = data()
    model = mixfit.mixed("y ~ x + (x|g) + (1|h)", frame)
    assert model.formula == "y ~ x + (x|g) + (1|h)"
    assert np.array_equal(model.endog, frame["y"])
    assert np.array_equal(model.exog, np.column_stack([np.ones(192), frame["x"]]))
    assert model.exog_names == ("Intercept", "x")
    assert model.aliased == ()
    assert list(model.groups) == ["g", "h"]
    assert model.groups["h"].n_levels == 9


@pytest.mark.parametrize("y", [lambda f: 2 + 3 * f["x"], lambda f: 0 * f["x"] + 7], ids=["linear", "constant"])
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_a_response_that_x_explains(y: object, shift: float) -> None:
    frame = data()
    with pytest.raises(DesignError, match="explain the response 'y' perfectly"):
        mixfit.mixed(SLOPES, frame.assign(y=y(frame) + shift))  # type: ignore[operator]


def test_too_few_rows() -> None:
    frame = pd.DataFrame({"y": [1.0, 3, 2, 5], "x": [0.0, 1, 4, 2], "z": [1.0, -1, 2, 7], "g": list("aabb")})
    with pytest.raises(DesignError, match="4 fixed effects for 4 observations"):
        mixfit.mixed("y ~ x + z + I(x**2) + (1|g)", frame)
    with pytest.raises(DesignError, match="explain any response of these 4 rows exactly"):
        mixfit.mixed("y ~ x + z + (1|g)", frame)
    # One direction that neither the fixed nor the random effects explain is enough, if barely.
    assert np.isfinite(mixfit.mixed("y ~ x + (1|g)", frame).fit().deviance)


@pytest.mark.parametrize(
    ("formula", "levels", "message"),
    [
        ("y ~ 1 + (1|g)", "aaaaaaaa", r"\(1\|g\).*one level"),
        ("y ~ 1 + (1|g)", "abcdefgh", r"\(1\|g\).*8 levels for 8"),
        ("y ~ x + (x|g)", "aabbccdd", r"\(x\|g\).*8 random effects for 8"),
    ],
)
def test_groups_that_cannot_be_told_apart(formula: str, levels: str, message: str) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"y": rng.normal(size=8), "x": rng.normal(size=8), "g": list(levels)})
    with pytest.raises(DesignError) as caught:
        mixfit.mixed(formula, frame)
    assert pd.Series([str(caught.value).replace(" | ", "|")]).str.contains(message).all()


def test_a_model_says_what_it_is() -> None:
    nested = mixfit.mixed("strength ~ 1 + (1|batch/cask)", mixfit.datasets.load("pastes"))
    text = "<LinearMixedModel: strength ~ 1 + (1|batch/cask), 60 observations, groups batch 10, batch:cask 30>"
    assert repr(nested) == text


@pytest.mark.parametrize(
    "family", ["gaussian", "Gaussian(identity)", sm.families.Gaussian()], ids=["name", "link", "instance"]
)
def test_gaussian_is_the_linear_model(family: object) -> None:
    same = fit(SLOPES, data(), family=family)
    assert same.reml
    assert same.deviance == fit(SLOPES, data()).deviance


@pytest.mark.parametrize("seed", [0, 2, 9])
def test_no_fixed_effects(seed: int) -> None:
    frame = small_data(seed)
    model = mixfit.mixed("y ~ 0 + (1|g)", frame)
    reml, ml = model.fit(reml=True), model.fit(reml=False)
    # Nothing to restrict: REML is ML.
    assert_allclose(reml.deviance, ml.deviance, rtol=1e-12)
    assert_allclose(reml.theta, ml.theta, rtol=1e-9)
    assert len(reml.params) == 0
    best, _ = oracle.best_criterion(model.design, reml=True, starts=2)
    assert_allclose(reml.deviance, best, atol=1e-6)
