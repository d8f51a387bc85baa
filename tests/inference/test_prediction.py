"""Predictions of means and of new observations, against joint normal theory, statsmodels, glmmTMB and simulation."""

from __future__ import annotations

import dataclasses
import pickle
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import DataError, FitError, FormulaError, NewLevelError
from mixfit.families.links import LINKS
from mixfit.inference.prediction_results import response_limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.results import LinearResults

    Array = NDArray[np.float64]

COLUMNS = ["mean", "mean_se", "mean_ci_lower", "mean_ci_upper", "obs_ci_lower", "obs_ci_upper"]

# formula and its random terms as (grouping columns, columns left of the bar); then what a re_form keeps of each term
CROSSED = ("y ~ x + (x | g) + (1 | h)", [("g", "1x"), ("h", "1")])
NESTED = ("y ~ x + (1 | g / k) + (0 + x | g)", [("g", "1"), ("gk", "1"), ("g", "x")])
SEVERAL = ("y ~ x + offset(o) + (x || g) + (1 | h) + (1 | k)", [("g", "1x"), ("h", "1"), ("k", "1")])
CASES = [
    (CROSSED, None, ["1x", "1"]),
    (CROSSED, "population", ["", ""]),
    (CROSSED, "g", ["1x", ""]),
    (CROSSED, "~(1 | g) + (1 | h)", ["1", "1"]),
    (NESTED, None, ["1", "1", "x"]),
    (NESTED, False, ["", "", ""]),
    (NESTED, "~(0 + x | g)", ["", "", "x"]),
    (NESTED, "g:k", ["", "1", ""]),
    (SEVERAL, None, ["1x", "1", "1"]),
    (SEVERAL, ["h", "~(0 + x | g)"], ["x", "1", ""]),
]


def make_data(seed: int, n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "o": rng.normal(size=n),
            "w": rng.gamma(3.0, size=n) + 0.2,
            "g": rng.permutation(np.arange(n) % 12).astype(str),
            "h": rng.integers(0, 8, n).astype(str),
            "k": rng.integers(0, 3, n).astype(str),
        }
    )
    effects = {name: rng.normal(size=(40, 2)) for name in "ghk"}
    y = 2.0 + data["x"] + data["o"] + rng.normal(size=n) / np.sqrt(data["w"])
    for name in "ghk":
        b = effects[name][data[name].astype(int)]
        y += b[:, 0] + b[:, 1] * data["x"]
    return data.assign(y=y + rng.normal(size=(12, 3))[data["g"].astype(int), data["k"].astype(int)])


def new_rows(seed: int) -> pd.DataFrame:
    """Rows of known levels, and of one, two and three unseen ones."""
    rows = make_data(seed + 1000, 9).drop(columns="y")
    rows.loc[[1, 4, 5, 8], "g"] = ["new", "other", "new", "new"]
    rows.loc[[2, 5, 8], "h"] = "new"
    rows.loc[[3, 8], "k"] = "new"
    return rows


def covariance_of_effects(
    data: pd.DataFrame, groups: str, columns: str, kept: str, Sigma: Array, old: int
) -> tuple[Array, Array]:
    """Covariance of z'b of all rows, the first `old` of them those of the fit; and of its predicted part alone.

    Two effects are correlated where they are of one level. In a new row, the columns that are left out are of a level
    of that row alone, but for a level that the fit never saw, which is the same for all columns.
    """
    Z = np.column_stack([np.ones(len(data)) if c == "1" else data["x"] for c in columns])
    own = data[list(groups)].agg(":".join, axis=1)
    seen = own.isin(own.iloc[:old]).to_numpy()
    labels = np.array([own.to_numpy()] * len(columns), dtype=object).T
    predicted = np.ones(labels.shape, dtype=bool)
    for i in range(old, len(data)):
        for c, column in enumerate(columns):
            predicted[i, c] = seen[i] and column in kept
            if seen[i] and column not in kept:
                labels[i, c] = f"level of row {i}"
    cov, part = np.zeros((2, len(data), len(data)))
    for a in range(len(columns)):
        for b in range(len(columns)):
            same = labels[:, None, a] == labels[None, :, b]
            entries = Sigma[a, b] * np.outer(Z[:, a], Z[:, b]) * same
            cov += entries
            part += entries * np.outer(predicted[:, a], predicted[:, b])
    return cov, part


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(("design", "re_form", "kept"), CASES)
def test_variances_by_joint_normal_theory(
    design: tuple[str, list[tuple[str, str]]], re_form: object, kept: list[str], reml: bool, weighted: bool
) -> None:
    formula, terms = design
    data, new = make_data(len(formula)), new_rows(3)
    fit = mixfit.mixed(formula, data, weights="w" if weighted else None).fit(reml=reml)
    prior = new["w"] if weighted else None
    mine = fit.get_prediction(new, re_form=re_form, allow_new_levels=True, weights=prior, ddf="z")  # type: ignore[arg-type]

    both, n = pd.concat([data.drop(columns="y"), new], ignore_index=True), len(data)
    V, part = np.zeros((2, len(both), len(both)))
    for (groups, columns), keep, T in zip(terms, kept, fit.estimate.templates, strict=True):
        assert T.shape == (len(columns),) * 2
        cov, predicted = covariance_of_effects(both, groups, columns, keep, fit.scale * T @ T.T, n)
        V += cov
        part += predicted
    residual = fit.scale / (both["w"].to_numpy() if weighted else np.ones(len(both)))
    V += np.diag(residual)
    # the best linear unbiased predictor of y0 and its mean squared error (Goldberger 1962; "universal kriging")
    X = np.column_stack([np.ones(len(both)), both["x"]])
    offset = both["o"].to_numpy() if "offset" in formula else np.zeros(len(both))
    Vi = np.linalg.inv(V[:n, :n])
    phi = np.linalg.inv(X[:n].T @ Vi @ X[:n])
    beta = phi @ X[:n].T @ Vi @ (data["y"] - offset[:n])
    c = V[:n, n:]
    d = X[n:] - c.T @ Vi @ X[:n]
    explained = np.einsum("im,ij,jm->m", c, Vi, c) - np.einsum("mp,pq,mq->m", d, phi, d)
    mean = X[n:] @ beta + offset[n:] + c.T @ Vi @ (data["y"] - offset[:n] - X[:n] @ beta)

    assert_allclose(mine.predicted_mean, mean, rtol=1e-7)
    assert_allclose(mine.se_obs**2, np.diag(V)[n:] - explained, rtol=1e-7)
    assert_allclose(mine.se_mean**2, np.diag(part)[n:] - explained, rtol=1e-7)
    as_before = fit.predict(new, re_form=re_form, allow_new_levels=True, se=True)  # type: ignore[arg-type]
    assert_allclose(mine.summary_frame()[["mean", "mean_se"]], as_before, rtol=1e-12)


def sleepstudy() -> LinearResults:
    return mixfit.mixed("Reaction ~ Days + (Days | Subject)", mixfit.datasets.load("sleepstudy")).fit()


def test_new_levels_as_glmmtmb() -> None:
    # glmmTMB 1.1.5, REML=TRUE: predict(m, newdata, se.fit=TRUE, allow.new.levels=TRUE)$se.fit, which counts the
    # effects of a new level but no residual
    pulp = mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp")).fit()
    operators = pulp.get_prediction(pd.DataFrame({"operator": ["a", "zz"]}), allow_new_levels=True)
    assert_allclose(operators.predicted_mean, [60.27806, 60.4], atol=5e-6)
    sleep = sleepstudy()
    new = pd.DataFrame({"Days": [3, 3, 7], "Subject": ["308", "zz", "zz"]})
    subjects = sleep.get_prediction(new, allow_new_levels=True)
    for fit, prediction, wanted in (
        (pulp, operators, [0.1364026, 0.3006936]),
        (sleep, subjects, [8.357108828, 32.322333024, 51.072481703]),
    ):
        assert_allclose(np.sqrt(prediction.se_obs**2 - fit.scale)[1:], wanted[1:], rtol=1e-4)
        # of a known level glmmTMB counts the error of theta too
        assert_allclose(prediction.se_mean[0], wanted[0], rtol=0.05)


def test_population_is_an_observation_of_new_levels() -> None:
    fit = sleepstudy()
    new = pd.DataFrame({"Days": [0, 4, 9], "Subject": ["308", "372", "new"]}, index=list("abc"))
    population = fit.get_prediction(new, re_form="population", ddf="z")
    unseen = fit.get_prediction(new.assign(Subject="unseen"), allow_new_levels=True)
    pd.testing.assert_frame_equal(population.summary_frame(), unseen.summary_frame())
    # the grouping factor is no matter then, and need not be there
    alone = fit.get_prediction(new[["Days"]], re_form="population", ddf="z")
    pd.testing.assert_frame_equal(population.summary_frame(), alone.summary_frame())
    assert (fit.get_prediction(new.iloc[:2]).se_obs < population.se_obs[:2]).all()


@pytest.mark.parametrize("re_form", [None, "population", "~(1 | g)"])
def test_rows_of_the_fit_by_default_with_their_weights(re_form: str | None) -> None:
    data = make_data(5)
    fit = mixfit.mixed(SEVERAL[0], data, weights="w").fit()
    inside = fit.get_prediction(re_form=re_form)
    again = fit.get_prediction(data, re_form=re_form, weights=data["w"])
    pd.testing.assert_frame_equal(inside.summary_frame(), again.summary_frame(), rtol=1e-9)
    # new data have weight 1, whatever columns they have
    ones = fit.get_prediction(data, re_form=re_form)
    assert_allclose(ones.se_obs**2 - again.se_obs**2, fit.scale * (1 - 1 / data["w"]), rtol=1e-8)
    pd.testing.assert_frame_equal(
        ones.summary_frame(), fit.get_prediction(re_form=re_form, weights=1.0).summary_frame(), rtol=1e-9
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_without_variance_of_groups_as_statsmodels(weighted: bool) -> None:
    data = mixfit.datasets.load("dyestuff2").assign(w=np.linspace(0.5, 2.0, 30), x=np.arange(30) % 5)
    fit = mixfit.mixed("Yield ~ x + (1 | Batch)", data, weights="w" if weighted else None).fit()
    assert fit.theta.tolist() == [0.0]
    theirs = smf.wls("Yield ~ x", data, weights=data["w"] if weighted else 1.0).fit()
    mine, wanted = fit.get_prediction(), theirs.get_prediction()
    for name in ("predicted_mean", "se_mean", "se_obs"):
        assert_allclose(getattr(mine, name), getattr(wanted, name), rtol=1e-9)
    assert list(mine.summary_frame().columns) == list(wanted.summary_frame().columns) == COLUMNS
    new = data.iloc[:4]
    assert_allclose(
        fit.get_prediction(new, weights=new["w"]).se_obs, theirs.get_prediction(new, weights=new["w"]).se_obs, rtol=1e-9
    )


def test_frame_limits_and_shape_of_the_result() -> None:
    fit = sleepstudy()
    new = pd.DataFrame({"Days": [1.0, 2.0], "Subject": ["308", "309"]}, index=["r", "s"])
    prediction = fit.get_prediction(new)
    frame = prediction.summary_frame(level=0.9)
    assert list(frame.columns) == COLUMNS
    assert list(frame.index) == list(prediction.row_labels) == ["r", "s"]
    z = 1.6448536269514722
    for obs, error, columns in ((False, prediction.se_mean, COLUMNS[2:4]), (True, prediction.se_obs, COLUMNS[4:])):
        limits = prediction.predicted_mean[:, None] + np.outer(error, [-z, z])
        assert_allclose(prediction.conf_int(obs=obs, level=0.9), limits)
        assert_allclose(frame[columns], limits)
    assert str(prediction) == repr(prediction) == prediction.summary_frame().to_string()
    assert len(str(fit.get_prediction()).splitlines()) < fit.nobs
    assert prediction._repr_html_() == prediction.summary_frame()._repr_html_()
    again = pickle.loads(pickle.dumps(prediction))
    pd.testing.assert_frame_equal(again.summary_frame(), prediction.summary_frame())
    with pytest.raises(dataclasses.FrozenInstanceError):
        prediction.se_obs = prediction.se_mean  # type: ignore[misc]
    with pytest.raises(FitError, match="between 0 and 1"):
        prediction.conf_int(level=1.0)


def test_missing_values() -> None:
    data = make_data(8)
    fit = mixfit.mixed("y ~ 1 + (1 | h) + (0 + x | g)", data).fit()
    new = pd.DataFrame({"x": [1.0, np.nan], "g": ["1", "2"], "h": ["1", "1"]})
    assert np.isnan(fit.get_prediction(new).summary_frame()).all(axis=1).tolist() == [False, True]
    # x is in no term that is predicted, but the effects of g need it
    frame = fit.get_prediction(new, re_form="h").summary_frame()
    assert frame.isna().to_numpy().tolist() == [[False] * 6, [False] * 4 + [True] * 2]
    weights = fit.get_prediction(new.fillna(0.0), weights=[np.nan, 1.0])
    assert np.isnan(weights.se_obs).tolist() == [True, False]


def test_other_frames() -> None:
    polars = pytest.importorskip("polars")
    fit, new = sleepstudy(), pd.DataFrame({"Days": [1.0, 2.0], "Subject": ["308", "new"]})
    mine = fit.get_prediction(polars.DataFrame(new.to_dict("list")), allow_new_levels=True)
    pd.testing.assert_frame_equal(
        mine.summary_frame(), fit.get_prediction(new, allow_new_levels=True).summary_frame(), check_index_type=False
    )


def test_refusals() -> None:
    fit, new = sleepstudy(), pd.DataFrame({"Days": [1.0, 2.0], "Subject": ["308", "new"]})
    with pytest.raises(NewLevelError, match="new; allow_new_levels=True"):
        fit.get_prediction(new)
    with pytest.raises(FormulaError, match="School"):
        fit.get_prediction(new, re_form="School")
    with pytest.raises(DataError, match="'Days'"):
        fit.get_prediction(new[["Subject"]], re_form="population")
    for weights, message in (
        ([1.0, 2.0, 3.0], "each of the 2 rows"),
        (["a", "b"], "each of the 2 rows"),
        ([1.0, 0.0], "positive; 1 are not"),
    ):
        with pytest.raises(DataError, match=message):
            fit.get_prediction(new, re_form="population", weights=weights)  # type: ignore[arg-type]


@pytest.mark.slow
def test_intervals_cover_new_observations() -> None:
    groups, rows, replicates, fresh = 30, 8, 300, 30
    rng = np.random.default_rng(11)
    data = pd.DataFrame({"x": rng.normal(size=groups * rows), "g": np.repeat(np.arange(groups), rows).astype(str)})
    new = pd.DataFrame({"x": rng.normal(size=2 * fresh), "g": [*map(str, range(fresh)), *["new"] * fresh]})
    T = np.array([[1.5, 0.0], [0.4, 0.7]])

    def draw(x: Array, b: Array) -> Array:
        return 1.0 + 2.0 * x + b[:, 0] + b[:, 1] * x + rng.normal(size=len(x))

    model = mixfit.mixed("y ~ x + (x | g)", data.assign(y=draw(data["x"].to_numpy(), np.zeros((len(data), 2)))))
    inside = np.empty((replicates, 2 * fresh))
    without = np.empty((replicates, fresh))
    for r in range(replicates):
        # every unseen row is of a level of its own
        b = rng.normal(size=(groups + fresh, 2)) @ T.T
        fit = model.with_response(draw(data["x"].to_numpy(), np.repeat(b[:groups], rows, axis=0))).fit()
        y = draw(new["x"].to_numpy(), b)
        prediction = fit.get_prediction(new, allow_new_levels=True)
        lower, upper = prediction.conf_int(obs=True).T
        inside[r] = (lower <= y) & (y <= upper)
        residual = 1.96 * np.sqrt(prediction.se_mean**2 + fit.scale)
        without[r] = (np.abs(y - prediction.predicted_mean) <= residual)[fresh:]
    for part in (inside[:, :fresh], inside[:, fresh:]):
        per_fit = part.mean(axis=1)
        # theta is taken as known, which 30 groups allow: a per cent of coverage at most
        error = per_fit.std() / np.sqrt(replicates)
        assert error < 0.005
        assert -0.01 - 3 * error < per_fit.mean() - 0.95 < 3 * error
    assert without.mean() < 0.8


def test_generalized_means_as_statsmodels() -> None:
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"x": rng.normal(size=200), "g": np.arange(200) % 10})
    # groups mean nothing, and their variance is estimated as zero
    data["y"] = rng.poisson(np.exp(0.5 + 0.3 * data["x"]))
    fit = mixfit.mixed("y ~ x + (1 | g)", data, family="poisson").fit()
    assert fit.theta[0] == 0.0
    theirs = sm.GLM(data["y"], sm.add_constant(data["x"]), family=sm.families.Poisson()).fit().get_prediction()
    mine, wanted = fit.get_prediction(), theirs.summary_frame()
    assert list(mine.summary_frame().columns) == list(wanted.columns)
    assert_allclose(mine.predicted_mean, wanted["mean"], rtol=1e-8)
    # the Hessian behind our standard errors is by differences of the gradient
    assert_allclose(mine.se_linpred, theirs.linpred.se_mean, rtol=1e-4)
    assert_allclose(mine.summary_frame(), wanted, rtol=1e-4)


def test_generalized_means_are_those_of_predict() -> None:
    cbpp = mixfit.datasets.load("cbpp")
    fit = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, family="binomial").fit()
    new = cbpp.head(3).astype({"herd": str})
    new.loc[1, "herd"] = "99"
    with pytest.raises(NewLevelError, match="99"):
        fit.get_prediction(new)
    for re_form in (None, "population"):
        mine = fit.get_prediction(new, re_form=re_form, allow_new_levels=True)
        frame = mine.summary_frame(level=0.8)
        mean = fit.predict(new, re_form=re_form, allow_new_levels=True, se=True)
        eta = fit.predict(new, type="link", re_form=re_form, allow_new_levels=True, se=True)
        assert_allclose(frame[["mean", "mean_se"]], mean)
        half = 1.2815515655446004 * eta["mean_se"]
        assert_allclose(frame["mean_ci_lower"], 1 / (1 + np.exp(half - eta["mean"])))
        assert_allclose(frame["mean_ci_upper"], 1 / (1 + np.exp(-half - eta["mean"])))
        assert_allclose(mine.conf_int(level=0.8), frame[COLUMNS[2:4]])
        again = pickle.loads(pickle.dumps(mine))
        assert str(again) == str(mine) == mine.summary_frame().to_string()
    assert not hasattr(mine, "se_obs")


def test_limits_of_inverse_links_stay_on_their_branch() -> None:
    eta = np.array([2.0, 2.0, -2.0, np.nan])
    limits = np.array([[1.0, 4.0], [-1.0, 4.0], [-4.0, 1.0], [np.nan, np.nan]])
    inf, nan = np.inf, np.nan
    assert_allclose(response_limits(LINKS["inverse"], eta, limits), [[0.25, 1], [0.25, inf], [-inf, -0.25], [nan, nan]])
    assert_allclose(response_limits(LINKS["1/mu^2"], eta[:2], limits[:2]), [[0.5, 1], [0.5, inf]])
    assert_allclose(response_limits(LINKS["sqrt"], eta, limits), [[1, 16], [0, 16], [0, 16], [nan, nan]])
    assert_allclose(response_limits(LINKS["sqrt"], np.zeros(1), np.array([[-1.0, 1.0]])), [[0.0, 1.0]])
    assert_allclose(response_limits(LINKS["log"], eta[:2], limits[:2]), np.exp(limits[:2]))
