"""Models of rows in batches are those of the same rows in memory."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit import progress
from mixfit.errors import ComparisonError, DataError, DesignError, FormulaError, RowsError, UndefinedValuesWarning
from mixfit.matrices.batches import scan


@pytest.fixture(autouse=True)
def few_rows_stand_for_all(monkeypatch):
    """A sample that is smaller than the data, as it is where these are many."""
    monkeypatch.setattr(scan, "SAMPLE", 30)


def table(n=600, seed=1):
    rng = np.random.default_rng(seed)
    g, h = rng.integers(0, 15, n), rng.integers(0, 7, n)
    x = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "x": x,
            "t": rng.integers(0, 5, n).astype(float),
            "arm": rng.choice(["b", "a", "c"], n),
            "dose": pd.Categorical(rng.choice(["low", "high", "mid"], n), ["low", "mid", "high"]),
            "old": rng.random(n) < 0.4,
            "day": pd.to_datetime("2026-01-01") + pd.to_timedelta(rng.integers(0, 4, n), "D"),
            "g": [f"g{i:02d}" for i in g],
            "h": h + 100,
            "w": rng.integers(0, 4, n).astype(float),
            "o": rng.normal(size=n),
            "k": rng.poisson(3.0, n),
        }
    )
    effects = rng.normal(size=(15, 2)), rng.normal(size=7)
    frame["y"] = 3.0 + x + effects[0][g, 0] + 0.5 * effects[0][g, 1] * x + effects[1][h] + rng.normal(size=n)
    return frame


def with_gaps(frame):
    rng = np.random.default_rng(5)
    frame = frame.copy()
    for name in ("y", "x", "arm", "dose", "g", "h", "w", "k"):
        frame.loc[rng.random(len(frame)) < 0.03, name] = None
    # A level that no complete row has.
    frame.loc[7, ["arm", "g"]] = "z", "zz"
    frame.loc[7, "y"] = None
    return frame


def streamed(formula, frame, tmp_path, chunk=70, **options):
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=110)
    return mixfit.mixed(formula, tmp_path / "rows.parquet", chunk_rows=chunk, **options)


def both(formula, frame, tmp_path, chunk=70, **options):
    memory = mixfit.mixed(formula, pa.Table.from_pandas(frame, preserve_index=False), **options)
    return memory, streamed(formula, frame, tmp_path, chunk, **options)


def assert_same_fit(memory, stream, reml=True, rtol=1e-8):
    assert stream.exog_names == memory.exog_names
    assert stream.aliased == memory.aliased
    a, b = memory.fit(reml=reml), stream.fit(reml=reml)
    assert (b.nobs, b.model.design.n_dropped, b.npar) == (a.nobs, a.model.design.n_dropped, a.npar)
    assert_allclose(b.params, a.params, rtol=rtol, atol=rtol)
    assert_allclose(b.bse, a.bse, rtol=rtol)
    assert_allclose(b.theta, a.theta, rtol=rtol, atol=rtol)
    assert_allclose(b.sigma, a.sigma, rtol=rtol)
    assert_allclose(b.llf, a.llf, rtol=rtol)
    assert b.is_singular == a.is_singular
    effects = a.ranef(condsd=True)
    for name, frame in b.ranef(condsd=True).items():
        assert frame.index.equals(effects[name].index)
        assert list(frame.columns) == list(effects[name].columns)
        assert_allclose(frame, effects[name], rtol=1e-7, atol=1e-7)
    return a, b


FORMULAS = [
    "y ~ x + (1 | g)",
    "y ~ x * arm + (x | g)",
    "y ~ 0 + dose + old:x + (x || g)",
    "y ~ x + C(day) + (1 | g) + (1 | h)",
    "y ~ x + (1 | g/arm)",
    "y ~ dose:arm + (0 + dose | g) + (1 | h)",
    "y ~ C(t) + (1 | C(h))",
    "y ~ np.log(k + 1) + I(x**2) + (1 | g:h)",
    "y ~ C(arm, contr.sum) + offset(o) + cs(0 + dose | g)",
    "y ~ x + ar1(0 + dose | g)",
    "np.exp(y / 10) ~ x + (x | g) + (0 + t | g)",
    "y ~ . - w - o - day + (1 | g) + (1 | h)",
]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("gaps", [False, True])
def test_estimates_are_those_in_memory(formula, gaps, tmp_path):
    frame = with_gaps(table()) if gaps else table()
    assert_same_fit(*both(formula, frame, tmp_path))


@pytest.mark.parametrize("gaps", [False, True])
def test_weights_and_offsets_are_columns_or_expressions(gaps, tmp_path):
    frame = with_gaps(table()) if gaps else table()
    memory, stream = both("y ~ x + arm + (x | g)", frame, tmp_path, weights="w", offset="o / 2")
    a, b = assert_same_fit(memory, stream, reml=False)
    assert_allclose(b.anova(type=1)["F value"], a.anova(type=1)["F value"], rtol=1e-7)


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ scale(x) + center(k) + (scale(x) | g)",
        "y ~ standardize(x, ddof=1) + poly(t, 2) + (1 | g)",
        "y ~ poly(x, 3) * arm + (1 | g)",
        "y ~ bs(x, knots=[-0.5, 0.5]) + cr(k, knots=[2.0, 4.0]) + (1 | g)",
        "y ~ bs(x, df=5) + bs(np.sqrt(k), df=4, degree=2) + (1 | g)",
        "y ~ I(scale(x, center=False) ** 2) + scale(np.sqrt(k), scale=2) + (1 | g)",
    ],
)
@pytest.mark.parametrize("gaps", [False, True])
def test_transforms_learn_from_all_rows(formula, gaps, tmp_path):
    frame = with_gaps(table()) if gaps else table()
    assert_same_fit(*both(formula, frame, tmp_path))


def test_numbers_far_from_zero_lose_nothing(tmp_path):
    frame = table()
    near = mixfit.mixed("y ~ x + arm + (x | g)", frame).fit()
    frame["y"] += 1e9
    frame["x"] += 1e6
    stream = both("y ~ x + arm + (x | g)", frame, tmp_path)[1].fit()
    assert_allclose(stream.params.iloc[1:], near.params.iloc[1:], rtol=1e-7)
    assert_allclose(stream.sigma, near.sigma, rtol=1e-8)
    assert_allclose(stream.llf, near.llf, rtol=1e-8)


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_units_do_not_matter(unit, tmp_path):
    frame = table()
    frame["x"] *= unit
    memory, stream = both("y ~ x + (x | g)", frame, tmp_path)
    a, b = memory.fit(), stream.fit()
    assert_allclose(b.params, a.params, rtol=1e-8)
    assert_allclose(b.bse, a.bse, rtol=1e-8)
    assert_allclose(b.llf, a.llf, rtol=1e-8)


@pytest.mark.parametrize("row", [0, 301])
def test_an_infinite_covariate_is_named(row, tmp_path):
    frame = table()
    frame.loc[row, "x"] = np.inf
    with pytest.raises(DataError, match="Column 'x' of the fixed effects is infinite"):
        streamed("y ~ x + (1 | g)", frame, tmp_path)


def test_columns_that_the_rows_do_not_tell_apart_are_aliased(tmp_path):
    frame = table()
    frame["z"] = 2.0 * frame["x"] - 1.0
    frame = frame[~((frame["arm"] == "a") & (frame["dose"] == "mid"))]
    a, b = assert_same_fit(*both("y ~ x + z + arm * dose + (1 | g)", frame, tmp_path))
    new = pd.DataFrame({"x": 0.0, "z": [-1.0, 5.0], "arm": "b", "dose": "mid", "g": "g01"})
    with pytest.warns(mixfit.errors.EstimabilityWarning):
        assert_allclose(b.predict(new), a.predict(new), rtol=1e-8)


def test_a_covariate_that_hardly_any_row_has_is_estimated(tmp_path):
    frame = table()
    frame["rare"] = 0.0
    frame.loc[[401, 402], "rare"] = [1.0, 2.0]
    frame["rarer"] = 0.0
    frame.loc[303, "rarer"] = np.pi
    assert_same_fit(*both("y ~ x + x:rare + I(rarer * 2) + (1 | g)", frame, tmp_path))
    frame.loc[[3, 99, 500], "k"] = np.nan
    assert_same_fit(*both("y ~ dose + k + I(rarer * 2) + (1 | g)", frame, tmp_path))


def test_levels_keep_the_order_of_categories_that_differ_from_batch_to_batch(tmp_path):
    parts = [
        pa.table(
            {"y": [1.0, 2.0, 4.0, 3.0], "f": pa.array(["c", "a", "c", "a"]).dictionary_encode(), "g": [1, 2, 2, 1]}
        ),
        pa.table(
            {"y": [2.0, 0.0, 1.0, 5.0], "f": pa.array(["b", "c", "a", "b"]).dictionary_encode(), "g": [3, 3, 1, 2]}
        ),
    ]
    memory = mixfit.mixed("y ~ f + (1 | g)", pa.concat_tables(parts).unify_dictionaries())
    reader = pa.RecordBatchReader.from_batches(parts[0].schema, [batch for t in parts for batch in t.to_batches()])
    assert_same_fit(memory, mixfit.mixed("y ~ f + (1 | g)", reader))


@pytest.mark.parametrize("solver", ["dense", "sparse"])
def test_the_solver_of_crossed_factors_can_be_chosen(solver, tmp_path):
    memory, stream = both("y ~ x + (1 | g) + (1 | h)", table(), tmp_path, solver=solver)
    assert stream.plan.solver == solver
    assert_same_fit(memory, stream)


def test_chunks_of_any_size_give_the_same(tmp_path):
    fits = [both("y ~ x * arm + (x | g)", table(), tmp_path, chunk)[1].fit() for chunk in (7, 5000)]
    assert_allclose(fits[0].params, fits[1].params, rtol=1e-10)


def test_expressions_without_a_value_are_said(tmp_path):
    with pytest.warns(UndefinedValuesWarning, match=r"np.log\(x\)` \("):
        memory, stream = both("y ~ np.log(x) + (1 | g)", table(), tmp_path)
    assert_same_fit(memory, stream)


def test_missing_values_can_be_refused(tmp_path):
    with_gaps(table()).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=r"Missing values \(rows\) in: y \("):
        mixfit.mixed("y ~ x + (1 | g)", tmp_path / "rows.parquet", na_action="raise")


@pytest.mark.parametrize(
    ("formula", "options", "error", "message"),
    [
        ("y ~ cr(x, df=4) + (1 | g)", {}, DataError, r"`cr\(x, df=4\)` places its knots at quantiles"),
        ("y ~ cr(x, knots=[0.0], constraints='center') + (1 | g)", {}, DataError, "leave the constraint out"),
        ("y ~ scale(center(x)) + (1 | g)", {}, DataError, "one transform learns from another"),
        ("y ~ lag(x) + (1 | g)", {}, DataError, r"`lag\(x\)` needs all rows, or their order"),
        ("y ~ I(x - x.mean()) + (1 | g)", {}, DataError, "computed from whole columns"),
        ("I(y - y.mean()) ~ x + (1 | g)", {}, DataError, "computed from whole columns"),
        ("scale(y) ~ x + (1 | g)", {}, DataError, "transformed by what all rows have"),
        ("y ~ x + (1 | g)", {"weights": "k / k.mean() + 1"}, DataError, "computed from whole columns"),
        ("y ~ x + (1 | g)", {"weights": np.ones(600)}, DataError, "weights= is an array"),
        ("y ~ x + equalto(1 | h, V)", {"context": {"V": np.eye(7)}}, DesignError, "places or levels of all rows"),
        ("y ~ x + ou(0 + t | g)", {}, DesignError, "places or levels of all rows"),
        ("y ~ x + (1 | g)", {"family": "gamma"}, FormulaError, "The gamma family is for data in memory"),
        ("y ~ x + (1 | g)", {"residual": "ar1(t | g)"}, FormulaError, "residual= is for data in memory"),
        ("y ~ x + (1 | g)", {"subset": "x > 0"}, FormulaError, "subset= is for data in memory: filter the rows"),
        ("y ~ xx + (1 | g)", {}, FormulaError, "have no column 'xx'"),
        ("y ~ np.log(scale(x)) + (1 | g)", {}, DataError, "has no value in some rows because of"),
        ("y ~ x + (1 | row)", {}, DesignError, "600 levels for 600 observations"),
    ],
)
def test_what_batches_do_not_tell_is_refused_by_name(formula, options, error, message, tmp_path):
    frame = table().assign(row=range(600))
    frame.to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(error, match=message):
        mixfit.mixed(formula, tmp_path / "rows.parquet", chunk_rows=100, **options)


def test_what_needs_rows_says_so(tmp_path):
    fit = both("y ~ x + (1 | g)", table(), tmp_path)[1].fit()
    for ask in (
        fit.residuals,
        lambda: fit.influence("g"),
        fit.simulate,
        fit.augment,
        fit.hatvalues,
        fit.bootstrap,
        lambda: fit.resid,
        lambda: fit.fittedvalues,
        lambda: fit.model.exog,
        lambda: fit.model.endog,
        fit.predict,
        lambda: fit.refit(np.ones(600)),
        fit.r2,
        fit.drop1,
    ):
        with pytest.raises(RowsError, match="needs"):
            ask()


def test_inference_without_rows_is_that_in_memory(tmp_path):
    memory, stream = both("y ~ x * arm + dose + offset(o) + (x | g)", with_gaps(table()), tmp_path)
    a, b = memory.fit(), stream.fit()
    for kind in (1, 2, 3):
        assert_allclose(b.anova(type=kind).frame, a.anova(type=kind).frame, rtol=1e-6)
    assert_allclose(b.ttest().frame["df"], a.ttest().frame["df"], rtol=1e-6)
    assert_allclose(b.vcov_kr(), a.vcov_kr(), rtol=1e-6)
    means = [fit.emmeans("arm", at={"dose": ["low", "high"]}) for fit in (a, b)]
    assert_allclose(*(m.frame[["emmean", "SE", "df"]] for m in means), rtol=1e-6)
    pairs = [fit.emmeans("pairwise ~ dose").contrasts.frame["estimate"] for fit in (a, b)]
    assert_allclose(*pairs, rtol=1e-6)
    slopes = [fit.emtrends("arm", var="x").frame[["x.trend", "SE", "df"]] for fit in (a, b)]
    assert_allclose(*slopes, rtol=1e-6)
    joint = [fit.joint_tests().frame[["df1", "df2", "F.ratio"]] for fit in (a, b)]
    assert_allclose(*joint, rtol=1e-6)
    with pytest.raises(RowsError, match="weights='proportional' are frequencies"):
        b.emmeans("arm", weights="proportional")
    assert_allclose(b.conf_int(method="profile"), a.conf_int(method="profile"), rtol=1e-5)
    assert str(b.varcorr()) == str(a.varcorr())
    text = str(a.summary()).splitlines()
    start = text.index("Scaled residuals:")
    # The residuals are all that is not told.
    assert str(b.summary()).splitlines() == text[:start] + text[start + 4 :]
    assert "Scaled residuals" not in b.summary().as_html()
    new = table().head(20)
    assert_allclose(b.predict(new), a.predict(new), rtol=1e-8)
    assert_allclose(b.predict(new, se=True), a.predict(new, se=True), rtol=1e-7)


def test_likelihood_ratio_tests_are_those_in_memory(tmp_path):
    frame = table()
    formulas = ["y ~ x + (1 | g)", "y ~ x + arm + (1 | g)", "y ~ x * arm + (x | g) + (1 | h)"]
    memory, stream = zip(*(both(f, frame, tmp_path, weights="k + 1") for f in formulas), strict=True)
    tables = [mixfit.anova(*(m.fit() for m in models)) for models in (memory, stream)]
    assert str(tables[0]) == str(tables[1])
    assert_allclose(tables[1].frame, tables[0].frame, rtol=1e-7)


def test_models_that_are_not_nested_or_of_other_data_are_not_compared(tmp_path):
    frame = table()
    fits = {
        text: both(text, frame, tmp_path)[1].fit()
        for text in ("y ~ x + (1 | g)", "y ~ t + k + (1 | g)", "y ~ x + t + (1 | h)", "y ~ x + x:arm + (1 | g)")
    }
    small, other, groups, large = fits.values()
    with pytest.raises(ComparisonError, match="m0 looks up columns that m1, which has more, does not"):
        mixfit.anova(small, other)
    with pytest.raises(ComparisonError, match="not nested in m1: random terms"):
        mixfit.anova(small, both("y ~ x + h:x + g:x + (1 | h)", frame, tmp_path)[1].fit())
    with pytest.raises(ComparisonError, match=r"m0 looks up|not nested"):
        mixfit.anova(small, groups)
    frame.loc[5, "y"] += 1.0
    with pytest.raises(ComparisonError, match="different responses"):
        mixfit.anova(both("y ~ x + (1 | g)", frame, tmp_path)[1].fit(), large)
    memory = mixfit.mixed("y ~ x + arm + (1 | g)", table()).fit()
    with pytest.raises(ComparisonError, match="m0 is of rows in batches and m1 of rows in memory"):
        mixfit.anova(small, memory)


def test_a_fit_pickles(tmp_path):
    fit = both("y ~ x + (1 | g)", table(), tmp_path)[1].fit()
    again = pickle.loads(pickle.dumps(fit))
    assert again.params.equals(fit.params)
    assert again.nobs == 600


def test_passes_show_rows_and_bytes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    monkeypatch.setenv("COLUMNS", "80")
    table().to_parquet(tmp_path / "rows.parquet")
    mixfit.mixed("y ~ x + (1 | g)", tmp_path / "rows.parquet", chunk_rows=70)
    shown = capsys.readouterr().err
    assert "rows.parquet: 100%" in shown
    assert re.search(r"600/600 .* \d+ MB", shown)
    mixfit.mixed("y ~ x + (1 | g)", tmp_path / "rows.parquet", progress=False)
    assert not capsys.readouterr().err
