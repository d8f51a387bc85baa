"""Binomial and Poisson models of a source, by counts of its distinct rows, are those of the rows in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import DataError, FitError, FormulaError, RowsError


def table(n=1500, seed=2):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "g": rng.choice([f"g{i}" for i in range(12)], n),
            "arm": pd.Categorical(rng.choice(["none", "low", "high"], n), ["none", "low", "high"]),
            "age": rng.integers(-2, 3, n),
            "time": rng.choice([0.5, 1.0, 2.0], n),
        }
    )
    eta = (
        0.3 * frame["age"]
        + (frame["arm"] == "low")
        + pd.Series(rng.normal(size=12))[frame["g"].str[1:].astype(int)].to_numpy()
    )
    frame["died"] = rng.random(n) < 1.0 / (1.0 + np.exp(-eta))
    frame["yes"] = frame["died"].astype(int)
    frame["answer"] = np.where(frame["died"], "yes", "no")
    frame["k"] = rng.poisson(np.exp(0.3 * eta) * frame["time"])
    return frame


def both(formula, frame, tmp_path, family, **options):
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=400)
    memory = mixfit.mixed(formula, rows, family=family, **options)
    return memory, mixfit.mixed(formula, tmp_path / "rows.parquet", family=family, chunk_rows=170, **options)


def likelihood(model, estimate, beta_steps):
    """-2 log-likelihood at an estimate's theta, the fixed effects some standard errors away, and its slopes there."""
    surface = model.likelihood_surface(estimate, reml=False)
    found = surface.evaluate([np.linalg.cholesky(S) for S in surface.center], beta_steps)
    return found.value, found.tail


def assert_same(memory, stream, **options):
    a, b = memory.fit(**options), stream.fit(**options)
    assert stream.exog_names == memory.exog_names
    assert (b.nobs, b.npar, b.model.design.n_dropped) == (a.nobs, a.npar, a.model.design.n_dropped)
    # One function of the parameters ...
    p = len(a.params)
    for scale, step in ((1.0, 0.0), (1.3, 0.5), (0.6, -1.0)):
        at = replace(a.estimate, theta=scale * a.estimate.theta)
        (value, slopes), (expected, expected_slopes) = (likelihood(m, at, np.full(p, step)) for m in (stream, memory))
        assert_allclose(value, expected, rtol=1e-10)
        assert_allclose(slopes, expected_slopes, rtol=1e-6, atol=1e-6)
    # ... and its minimum, which is looked for until the likelihood is as large as matters.
    assert_allclose(b.llf, a.llf, rtol=1e-8)
    assert_allclose(b.bic, a.bic, rtol=1e-8)
    assert (np.abs(b.params - a.params) < 1e-4 * a.bse).all()
    assert_allclose(b.bse, a.bse, rtol=1e-3)
    assert_allclose(b.theta, a.theta, rtol=1e-3)
    effects = a.ranef(condsd=True)
    for name, frame in b.ranef(condsd=True).items():
        assert frame.index.equals(effects[name].index)
        assert_allclose(frame, effects[name], rtol=1e-3, atol=1e-4)
    return a, b


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("yes ~ arm * age + (1 | g)", "binomial"),
        ("died ~ arm + (age | g)", "binomial(probit)"),
        ("answer ~ C(age) + (1 | g/arm)", "binomial"),
        ("k ~ arm + I(age**2) + offset(np.log(time)) + (1 | g)", "poisson"),
        ("k ~ age + (1 | g) + (1 | arm)", "poisson"),
    ],
)
@pytest.mark.parametrize("gaps", [False, True])
def test_estimates_are_those_in_memory(formula, family, gaps, tmp_path):
    frame = table()
    if gaps:
        for j, name in enumerate(("g", "arm", "age", "k", "answer")):
            frame.loc[frame.index % 31 == j, name] = None
    assert_same(*both(formula, frame, tmp_path, family))


def test_quadrature_and_inference_without_rows(tmp_path):
    a, b = assert_same(*both("yes ~ arm * age + (1 | g)", table(), tmp_path, "binomial"), n_agq=5)
    assert_allclose(b.anova().frame["Chisq"], a.anova().frame["Chisq"], rtol=1e-4)
    assert_allclose(*(fit.emmeans("arm").frame[["emmean", "SE"]] for fit in (a, b)), rtol=1e-4)
    text = str(a.summary()).splitlines()
    start = text.index("Scaled residuals:")
    assert str(b.summary()).splitlines() == text[:start] + text[start + 4 :]
    new = table().head(10)
    assert_allclose(b.predict(new), a.predict(new), rtol=1e-6)
    small = [model.fit(n_agq=5) for model in both("yes ~ age + (1 | g)", table(), tmp_path, "binomial")]
    assert_allclose(mixfit.anova(small[1], b).frame, mixfit.anova(small[0], a).frame, rtol=1e-6)
    for ask in (b.residuals, lambda: b.fittedvalues, b.simulate, lambda: b.influence("g"), b.hatvalues):
        with pytest.raises(RowsError):
            ask()


def test_databases_and_lazy_frames_count_themselves(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    rows = pa.Table.from_pandas(table().astype({"arm": str}), preserve_index=False)
    memory = mixfit.mixed("yes ~ arm + (1 | g)", rows, family="binomial")
    with duckdb.connect() as connection:
        assert_same(memory, mixfit.mixed("yes ~ arm + (1 | g)", connection.from_arrow(rows), family="binomial"))
    assert_same(memory, mixfit.mixed("yes ~ arm + (1 | g)", pl.from_arrow(rows).lazy(), family="binomial"))


@pytest.mark.parametrize(
    ("formula", "options", "error", "message"),
    [
        ("yes ~ I(age - age.mean()) + (1 | g)", {}, DataError, "computed from whole columns"),
        ("cbind(yes, 1 - yes) ~ age + (1 | g)", {}, FormulaError, "is of two columns"),
        ("I(time / 2) ~ age + (1 | g)", {}, DataError, "has proportions"),
        ("yes ~ age + (1 | g)", {"weights": "time"}, FormulaError, "equal rows of a source are counted"),
        ("yes ~ age + (1 | g)", {"family": "gamma"}, FormulaError, "The gamma family is for data in memory"),
        ("yes ~ age + (1 | g)", {"zi": "~ 1"}, FormulaError, "zi= is for data in memory"),
    ],
)
def test_what_counts_do_not_tell_is_refused_by_name(formula, options, error, message, tmp_path):
    table().to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(error, match=message):
        mixfit.mixed(formula, tmp_path / "rows.parquet", **{"family": "binomial", **options})


@pytest.mark.parametrize(
    ("died", "words"),
    [
        (lambda frame: frame["died"] & (frame["arm"] != "high"), "One outcome only: level 'high' of 'arm'"),
        (lambda frame: frame["g"] < "g4", "The grouping factor 'g' separates the response 'died'"),
    ],
)
def test_separation_is_refused_as_of_rows_in_memory(tmp_path, died, words):
    frame = table()
    frame["died"] = died(frame)
    for model in both("died ~ arm + (1 | g)", frame, tmp_path, "binomial"):
        with pytest.raises(FitError, match=words) as found:
            model.fit()
        assert found.type is FitError
