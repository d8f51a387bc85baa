"""Predictions that the data cannot tell: NaN with a warning, as emmeans' nonEst."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixfit
from mixfit.errors import EstimabilityWarning

N = 300
RNG = np.random.default_rng(16)
DATA = pd.DataFrame(
    {
        "g": np.arange(N) % 10,
        "f": RNG.choice(["p", "q"], N),
        "h": RNG.choice(["a", "b", "c"], N),
        "k": RNG.choice(["u", "v"], N),
        "x": RNG.normal(size=N),
    }
)
DATA = DATA[~((DATA.f == "q") & (DATA.h == "c"))].reset_index(drop=True)
DATA["x2"] = 2.0 * DATA.x
DATA["y"] = RNG.normal(size=10)[DATA.g] + RNG.normal(size=len(DATA))
DATA["z"] = (DATA.y > 0).astype(int)
CELLS = pd.DataFrame(
    [(f, h, k, 0.5, 1.0, 3) for f in "pq" for h in "abc" for k in "uv"], columns=["f", "h", "k", "x", "x2", "g"]
)
EMPTY = (CELLS.f == "q") & (CELLS.h == "c")


@pytest.fixture(scope="module", params=["gaussian", "binomial"])
def fit(request):
    response = "y" if request.param == "gaussian" else "z"
    return mixfit.mixed(f"{response} ~ f*h + (1|g)", DATA, family=request.param).fit()


@pytest.mark.parametrize("re_form", [None, False])
@pytest.mark.parametrize("frame", [lambda d: d, pl.from_pandas], ids=["pandas", "polars"])
def test_an_empty_cell_is_nan(fit, re_form, frame):
    with pytest.warns(EstimabilityWarning, match=r"do not tell 2 of 12 predictions.*\(f\[T\.q\]:h\[T\.c\]\)") as said:
        found = fit.predict(frame(CELLS), re_form=re_form)
    np.testing.assert_array_equal(np.isnan(found), EMPTY)
    assert said[0].filename == __file__


def test_standard_errors_and_intervals_are_nan_as_well(fit):
    with pytest.warns(EstimabilityWarning):
        found = fit.predict(CELLS, re_form=False, se=True)
    np.testing.assert_array_equal(found.isna().any(axis=1), EMPTY)
    with pytest.warns(EstimabilityWarning) as said:
        frame = fit.get_prediction(CELLS, re_form=False).summary_frame()
    np.testing.assert_array_equal(frame["mean"].isna(), EMPTY)
    assert said[0].filename == __file__


def test_cells_with_data_are_told_without_a_word(fit):
    with warnings.catch_warnings():
        warnings.simplefilter("error", EstimabilityWarning)
        assert np.isfinite(fit.predict(CELLS[~EMPTY], re_form=False)).all()
        assert np.isfinite(fit.predict(DATA)).all()
        missing = fit.predict(CELLS[~EMPTY].assign(f=[None] + ["p"] * 9), re_form=False)
        assert np.isfinite(pickle.loads(pickle.dumps(fit)).predict(DATA)).all()
    assert np.isnan(missing).tolist() == [True] + [False] * 9


def test_the_means_of_emmeans_are_those_of_predictions(fit):
    means = mixfit.emmeans(fit, ["f", "h"]).frame
    with pytest.warns(EstimabilityWarning):
        found = fit.predict(CELLS[::2], re_form=False, **({} if fit.model.design.link is None else {"type": "link"}))
    mine = pd.Series(found.to_numpy(), index=pd.MultiIndex.from_frame(CELLS.loc[::2, ["f", "h"]]))
    theirs = means.set_index(["f", "h"])["emmean"]
    np.testing.assert_allclose(mine.reindex(theirs.index), theirs, rtol=1e-9)
    assert theirs.isna().sum() == 1


@pytest.mark.parametrize("formula", ["y ~ f*h*k + (1|g)", "y ~ 0 + f:h:k + (1|g)", "y ~ f:h + k + (1|g)"])
def test_other_codings_of_empty_cells(formula):
    fit = mixfit.mixed(formula, DATA).fit()
    with pytest.warns(EstimabilityWarning):
        found = fit.predict(CELLS, re_form=False)
    np.testing.assert_array_equal(np.isnan(found), EMPTY)


def test_a_slope_of_a_level_without_one():
    data = DATA.assign(x=np.where(DATA.h == "c", 1.5, DATA.x))
    fit = mixfit.mixed("y ~ h*x + (1|g)", data).fit()
    new = pd.DataFrame({"h": ["c", "c", "a"], "x": [1.5, 2.0, 2.0]})
    with pytest.warns(EstimabilityWarning):
        assert np.isnan(fit.predict(new, re_form=False)).tolist() == [False, True, False]


def test_a_covariate_that_another_determines():
    fit = mixfit.mixed("y ~ x + x2 + (1|g)", DATA).fit()
    new = CELLS.head(6)
    assert np.isfinite(fit.predict(new)).all()
    with pytest.warns(EstimabilityWarning, match=r"do not tell 2 of 6 predictions.*\(x2\)"):
        found = fit.predict(new.assign(x2=[1.0, 1.0, 3.0, 1.0, 0.0, 1.0]))
    assert np.isnan(found).tolist() == [False, False, True, False, True, False]
