"""Generalized models of a source by passes over rows on disk are those of the rows in memory."""

from __future__ import annotations

import gc
import pickle
import warnings

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import DataError, FitError, RowsError
from mixfit.gram.row_store import RowStore
from mixfit.matrices.batches import counted, scan
from mixfit.model.passes import PassMixedModel


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch):
    """Samples and counts that are smaller than the data, as they are where these are many."""
    monkeypatch.setattr(scan, "SAMPLE", 30)
    monkeypatch.setattr(counted, "_MOST", 20)


def table(n=1200, seed=4):
    rng = np.random.default_rng(seed)
    g, h = rng.integers(0, 25, n), rng.integers(0, 6, n)
    frame = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(50.0, 3.0, n), "o": rng.normal(0.0, 0.2, n)})
    frame["arm"] = rng.choice(["a", "b", "c"], n)
    frame["g"], frame["h"] = [f"g{i:02d}" for i in g], h
    eta = 0.5 * frame["x"] + (frame["arm"] == "b") + rng.normal(size=25)[g] + 0.5 * rng.normal(size=6)[h] + frame["o"]
    eta += 0.4 * rng.normal(size=25)[g] * frame["x"]
    frame["yes"] = (rng.random(n) < 1.0 / (1.0 + np.exp(-eta))).astype(int)
    frame["died"] = frame["yes"] == 1
    frame["k"] = rng.poisson(np.exp(0.5 * eta))
    return frame


def both(formula, frame, tmp_path, family, **options):
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=300)
    memory = mixfit.mixed(formula, frame, family=family, **options)
    stream = mixfit.mixed(formula, tmp_path / "rows.parquet", family=family, chunk_rows=170, **options)
    assert isinstance(stream, PassMixedModel)
    return memory, stream


CASES = [
    ("yes ~ x * arm + (1 | g)", "binomial"),
    ("died ~ x + z + offset(o) + (x | g) + (1 | h)", "binomial"),
    ("yes ~ scale(z) + poly(x, 2) + (scale(x) | g)", "binomial(probit)"),
    ("yes ~ arm + x + (1 | g/arm)", "binomial(cloglog)"),
    ("k ~ x + arm + (x || g) + (1 | h)", "poisson"),
    # Two terms that nothing tells apart: one of them is on its boundary.
    ("k ~ x + (1 | g) + (x | g)", "poisson"),
]


@pytest.mark.parametrize(("formula", "family"), CASES)
@pytest.mark.parametrize("gaps", [False, True])
def test_estimates_are_those_in_memory(formula, family, gaps, tmp_path):
    frame = table()
    if gaps:
        for j, name in enumerate(("g", "arm", "x", "k", "z")):
            frame.loc[frame.index % 31 == j, name] = None
    memory, stream = both(formula, frame, tmp_path, family)
    a, b = memory.fit(), stream.fit()
    assert b.converged
    assert stream.exog_names == memory.exog_names
    assert (b.nobs, b.npar, b.model.design.n_dropped) == (a.nobs, a.npar, a.model.design.n_dropped)
    assert_allclose(b.llf, a.llf, atol=2e-8, rtol=1e-9)
    assert (np.abs(b.params - a.params) < 1e-4 * a.bse).all()
    assert_allclose(b.bse, a.bse, rtol=1e-3)
    assert_allclose(b.theta, a.theta, atol=1e-3)
    effects = a.ranef(condsd=True)
    for name, own in b.ranef(condsd=True).items():
        assert own.index.equals(effects[name].index)
        assert_allclose(own, effects[name], rtol=2e-3, atol=2e-4)


def test_a_search_that_begins_with_some_of_the_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("mixfit.glmm.kept_rows._SOME", 300)
    monkeypatch.setattr("mixfit.glmm.kept_rows._SOME_GROUPS", 10)
    memory, stream = both("yes ~ x + arm + (1 | g) + (1 | h)", table(), tmp_path, "binomial")
    a, b = memory.fit(), stream.fit()
    assert_allclose(b.llf, a.llf, atol=2e-8)
    assert_allclose(b.params, a.params, atol=1e-5)
    assert_allclose(stream.fit(start=[0.1, 0.1]).llf, a.llf, atol=2e-8)
    assert 0 < stream.n_passes < 150


def test_inference_and_predictions_without_rows(tmp_path):
    memory, stream = both("yes ~ x * arm + (x | g)", table(), tmp_path, "binomial")
    a, b = memory.fit(), stream.fit()
    assert_allclose(b.anova().frame["Chisq"], a.anova().frame["Chisq"], rtol=1e-4)
    assert_allclose(*(fit.emmeans("arm").frame[["emmean", "SE"]] for fit in (a, b)), rtol=1e-4)
    text = str(a.summary()).splitlines()
    start = text.index("Scaled residuals:")
    assert str(b.summary()).splitlines() == text[:start] + text[start + 4 :]
    new = table(seed=9).head(20)
    assert_allclose(b.predict(new), a.predict(new), rtol=1e-5)
    errors = [fit.predict(new, se=True, what="link") for fit in (a, b)]
    assert_allclose(errors[1], errors[0], rtol=1e-3)


def test_what_needs_rows_says_so(tmp_path):
    _, stream = both("yes ~ x + (1 | g)", table(), tmp_path, "binomial")
    fit = stream.fit()
    for ask in (
        fit.residuals,
        lambda: fit.fittedvalues,
        fit.simulate,
        lambda: fit.influence("g"),
        fit.hatvalues,
        lambda: fit.conf_int(method="profile"),
        lambda: fit.refit(np.zeros(1200)),
        pickle.loads(pickle.dumps(stream)).fit,
    ):
        with pytest.raises(RowsError):
            ask()
    for options in ({"n_agq": 5}, {"method": "pql"}, {"priors": "blme"}):
        with pytest.raises(FitError, match="read what the model needs into a frame"):
            stream.fit(**options)


def test_a_fit_that_is_loaded_has_all_but_rows(tmp_path):
    _, stream = both("yes ~ x * arm + (x | g) + (1 | h)", table(), tmp_path, "binomial")
    fit = stream.fit()
    fit.save(tmp_path / "fit.mixfit")
    del stream
    (tmp_path / "rows.parquet").unlink()
    loaded = mixfit.load(tmp_path / "fit.mixfit")
    assert str(loaded.summary()) == str(fit.summary())
    assert loaded.model.n_passes == fit.model.n_passes > 0
    new = table(seed=9).head(20)
    pd.testing.assert_frame_equal(loaded.predict(new, se=True), fit.predict(new, se=True))
    for name, modes in fit.ranef(condsd=True).items():
        pd.testing.assert_frame_equal(loaded.ranef(condsd=True)[name], modes)
    pd.testing.assert_frame_equal(loaded.emmeans("arm").frame, fit.emmeans("arm").frame)
    with pytest.raises(RowsError, match="read the source anew"):
        loaded.model.fit()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"yes": lambda d: np.where(d["yes"] == 1, "yes", "no")}, "has labels"),
        ({"yes": lambda d: d["yes"] / 2}, "other values than 0 and 1"),
    ],
)
def test_responses_that_are_no_trials(change, message, tmp_path):
    table().assign(**change).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=message):
        mixfit.mixed("yes ~ x + (1 | g)", tmp_path / "rows.parquet", family="binomial")


def test_counts_that_are_none(tmp_path):
    frame = table()
    frame.loc[1100, "k"] = -1
    frame.to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="k"):
        mixfit.mixed("k ~ x + (1 | g)", tmp_path / "rows.parquet", family="poisson", chunk_rows=100)


def test_a_level_that_only_the_last_rows_have(tmp_path):
    frame = table()
    frame.loc[frame.index[-3:], "g"] = "late"
    memory, stream = both("yes ~ x + (1 | g)", frame, tmp_path, "binomial")
    a, b = memory.fit(), stream.fit()
    assert_allclose(b.ranef()["g"].loc["late"], a.ranef()["g"].loc["late"], rtol=1e-4)


def test_rows_come_back_as_they_were_written():
    rng = np.random.default_rng(0)
    store = RowStore(2, 2)
    columns = [rng.normal(size=(2, m)) for m in (5, 1, 3)]
    codes = [rng.integers(0, 3, (2, m)) for m in (5, 1, 3)]
    for c, own in zip(columns, codes, strict=True):
        store.add(c, own)
    pairs = np.unique(np.concatenate(codes, axis=1).T, axis=0)
    store.number_pairs({(0, 1): (pairs[:, 0], pairs[:, 1])}, (3, 3))
    for block, c, own in zip(store.blocks(), columns, codes, strict=True):
        np.testing.assert_array_equal(block.columns, c)
        np.testing.assert_array_equal(block.codes, own)
        np.testing.assert_array_equal(pairs[block.entries[0]].T, own)
    assert store.n == 9


def test_a_file_without_rows(tmp_path):
    table().head(0).to_parquet(tmp_path / "rows.parquet")
    assert pq.ParquetFile(tmp_path / "rows.parquet").metadata.num_rows == 0
    with pytest.raises(DataError, match="no rows"):
        mixfit.mixed("yes ~ scale(x) + (1 | g)", tmp_path / "rows.parquet", family="binomial")


@pytest.mark.parametrize("late", [False, True])
def test_fixed_effects_that_separate_are_refused_by_name(tmp_path, late):
    frame = table()
    frame["w"] = np.where((frame["yes"] == 1) & (frame["x"] > 0.5), 1.0, 0.0)
    frame["m"] = np.where((frame["k"] == 0) & (frame["x"] > 0.5), 1.0, 0.0)
    if late:
        # One row of the last is all that says otherwise.
        frame.loc[1199, ["w", "m", "yes", "k"]] = [1.0, 1.0, 0, 3]
    frame.to_parquet(tmp_path / "rows.parquet")
    for formula, family in (("yes ~ w + arm + (1 | g)", "binomial"), ("k ~ m + x + (1 | g)", "poisson")):
        model = mixfit.mixed(formula, tmp_path / "rows.parquet", family=family, chunk_rows=170)
        if late:
            assert model.fit().converged
            continue
        with pytest.raises(FitError, match=f"The fixed effect '{formula.split()[2]}' separates"):
            model.fit()


def test_a_response_that_a_covariate_orders(tmp_path):
    frame = table()
    frame["yes"] = (frame["x"] > 0.1).astype(int)
    frame.to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(FitError, match="separates the response 'yes'"):
        mixfit.mixed("yes ~ x + (1 | g)", tmp_path / "rows.parquet", family="binomial").fit()


def test_a_response_that_is_the_same_everywhere(tmp_path):
    table().assign(yes=1).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="the same in every row"):
        mixfit.mixed("yes ~ scale(x) + (1 | g)", tmp_path / "rows.parquet", family="binomial")


def test_the_folder_of_the_rows_goes_with_the_store_without_a_warning():
    store = RowStore(1, 1)
    store.add(np.ones((1, 2)), np.zeros((1, 2)))
    folder = store._folder
    assert folder.is_dir()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        del store
        gc.collect()
    assert not folder.exists()
    assert not [w for w in said if issubclass(w.category, ResourceWarning)]
