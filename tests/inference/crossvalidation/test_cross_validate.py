"""Cross-validation from formula to scores: against fits to the other rows, and what is refused."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.stats import binom, norm
from statsmodels.stats.proportion import proportion_confint

import mixfit
from mixfit.errors import ArgumentError, DataError, DesignError, FitError
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.estimate import packed, to_basis
from mixfit.results import LinearResults

if TYPE_CHECKING:
    from mixfit.results import GeneralizedResults

HELD = [
    ("sleepstudy", "Reaction ~ Days + (Days | Subject)", "Subject"),
    ("penicillin_plates", "diameter ~ 1 + (1 | plate) + (1 | sample)", "sample"),
    ("penicillin_plates", "diameter ~ 1 + (1 | plate) + (1 | sample)", "plate"),
    ("cake", "angle ~ recipe * temperature + (1 | recipe:replicate)", "replicate"),
]
FORMULA = "Reaction ~ Days + (Days | Subject)"


@cache
def sleep() -> pd.DataFrame:
    return mixfit.datasets.load("sleepstudy")


@cache
def sleep_fit() -> LinearResults:
    return mixfit.mixed(FORMULA, sleep()).fit()


@cache
def herds_fit() -> GeneralizedResults:
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return mixfit.mixed(formula, mixfit.datasets.load("cbpp"), family="binomial").fit()


@pytest.mark.parametrize("subject", ["308", "335"])
def test_refits_predict_as_fits_to_the_other_rows(subject: str) -> None:
    found = mixfit.cross_validate(sleep_fit(), by="Subject", refit="theta")
    out = sleep()["Subject"].astype(str) == subject
    other = mixfit.mixed(FORMULA, sleep()[~out]).fit()
    new = other.get_prediction(sleep()[out], allow_new_levels=True)
    own = found.predictions[out.to_numpy()]
    np.testing.assert_allclose(own["mean"], new.predicted_mean, rtol=1e-7)
    np.testing.assert_allclose(own["sd"], new.se_obs, rtol=1e-5)
    wanted = norm.logpdf(sleep()["Reaction"][out], new.predicted_mean, new.se_obs)
    np.testing.assert_allclose(own["log_density"], wanted, rtol=1e-5)
    np.testing.assert_allclose(found.scores.loc[subject, "log_score"], wanted.mean(), rtol=1e-5)
    assert found.converged is not None
    assert found.converged.all()


@pytest.mark.parametrize(("name", "formula", "by"), HELD)
def test_without_refits_predictions_are_those_of_the_other_rows_at_the_same_theta(
    name: str, formula: str, by: str
) -> None:
    data = mixfit.datasets.load(name)
    fit = mixfit.mixed(formula, data).fit()
    found = mixfit.cross_validate(fit, by=data[by]).predictions
    labels = data[by].astype(str)
    for level in labels.unique()[:4]:
        out = (labels == level).to_numpy()
        model = mixfit.mixed(formula, data[~out])
        at = evaluate(model.assembly.problem, to_basis(model.assembly, fit.estimate.templates), reml=True)
        other = LinearResults(model, packed(model.assembly, at, fit.certificate))
        new = other.get_prediction(data[out], allow_new_levels=True)
        np.testing.assert_allclose(found["mean"][out], new.predicted_mean, rtol=1e-8)
        np.testing.assert_allclose(found["sd"][out], new.se_obs, rtol=1e-8)


def test_rows_are_predicted_from_their_subject_too() -> None:
    fit = sleep_fit()
    found = mixfit.cross_validate(fit)
    # At held theta the error of a row left out is that of the row within over 1 less its leverage.
    wanted = fit.resid / (1.0 - fit.hatvalues())
    np.testing.assert_allclose(found.predictions["observed"] - found.predictions["mean"], wanted, rtol=1e-9)
    assert found.score["rmse"] == pytest.approx(float(np.sqrt((wanted**2).mean())))


def test_weighted_densities_are_those_of_the_response() -> None:
    data = sleep().assign(w=0.5 + np.arange(180) % 7 / 3.0)
    fit = mixfit.mixed(FORMULA, data, weights="w").fit()
    found = mixfit.cross_validate(fit, by="Subject", refit="theta", scoring=["log_score", "joint_log_score"])
    out = (data["Subject"].astype(str) == "310").to_numpy()
    other = mixfit.mixed(FORMULA, data[~out], weights="w").fit()
    new = other.get_prediction(data[out], allow_new_levels=True, weights=data["w"][out])
    wanted = norm.logpdf(data["Reaction"][out], new.predicted_mean, new.se_obs)
    np.testing.assert_allclose(found.predictions["log_density"][out], wanted, rtol=1e-5)
    assert found.scores.loc["310", "joint_log_score"] > wanted.mean() - 5.0


def test_binomial_herds_are_predicted_by_fits_without_them() -> None:
    found = mixfit.cross_validate(herds_fit(), by="herd")
    data = mixfit.datasets.load("cbpp")
    out = (data["herd"].astype(str) == "4").to_numpy()
    other = mixfit.mixed(herds_fit().model.formula_text, data[~out], family="binomial").fit()
    link = other.predict(data[out], type="link", allow_new_levels=True, re_form="population", se=True)
    assert isinstance(link, pd.DataFrame)
    spread = np.sqrt(link["mean_se"] ** 2 + other.theta[0] ** 2)
    rows = zip(data["incidence"][out], data["size"][out], link["mean"], spread, strict=True)
    own = found.predictions[out]
    for (events, size, m, s), (_, predicted) in zip(rows, own.iterrows(), strict=True):

        def density(z: float, m: float = m, s: float = s) -> float:
            return float(norm.pdf(z) / (1.0 + np.exp(-m - s * z)))

        def likelihood(z: float, m: float = m, s: float = s, events: int = events, size: int = size) -> float:
            return float(norm.pdf(z) * binom.pmf(events, size, 1.0 / (1.0 + np.exp(-m - s * z))))

        assert predicted["mean"] == pytest.approx(quad(density, -9, 9)[0], rel=1e-6)
        assert np.exp(predicted["log_density"]) == pytest.approx(quad(likelihood, -9, 9)[0], rel=1e-6)
    trials = data["size"].to_numpy()
    p, y = found.predictions["mean"].to_numpy(), found.predictions["observed"].to_numpy()
    brier = (trials * (y * (1 - p) ** 2 + (1 - y) * p**2)).sum() / trials.sum()
    assert found.score["brier"] == pytest.approx(brier)


def test_splitters_of_scikit_learn() -> None:
    selection = pytest.importorskip("sklearn.model_selection")
    fit = sleep_fit()
    folds = mixfit.cross_validate(fit, selection.GroupKFold(6), groups="Subject")
    pairs = list(selection.GroupKFold(6).split(np.zeros((180, 1)), groups=sleep()["Subject"]))
    pd.testing.assert_frame_equal(folds.predictions, mixfit.cross_validate(fit, pairs).predictions)
    labels = np.empty(180, dtype=int)
    for g, (_, test) in enumerate(pairs):
        labels[test] = g
    again = mixfit.cross_validate(fit, pd.Series(labels, name="part"))
    assert folds.score["log_score"] == pytest.approx(again.score["log_score"])
    # Rows that come after are left out, and not all of them are tested.
    series = mixfit.cross_validate(fit, selection.TimeSeriesSplit(3), scoring="rmse")
    assert series.predictions["split"].value_counts().tolist() == [45, 45, 45]
    twice = mixfit.cross_validate(fit, selection.RepeatedKFold(n_splits=4, n_repeats=2, random_state=1))
    assert len(twice.predictions) == 360


def test_random_folds_are_those_of_the_seed() -> None:
    one, same, other = (mixfit.cross_validate(sleep_fit(), 9, seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one.predictions, same.predictions)
    assert one.score["rmse"] != other.score["rmse"]
    assert one.predictions["fold"].value_counts().tolist() == [20] * 9


def test_functions_score_groups() -> None:
    def worst(observed: np.ndarray, predicted: np.ndarray) -> float:
        return float(np.abs(observed - predicted).max())

    found = mixfit.cross_validate(sleep_fit(), "Subject", scoring=[worst, "mae"])
    errors = (found.predictions["observed"] - found.predictions["mean"]).abs()
    by_subject = errors.groupby(found.predictions["Subject"]).max()
    np.testing.assert_allclose(found.scores["worst"], by_subject[found.scores.index])
    assert found.score["worst"] == errors.max()


def test_intervals_of_a_true_model_hold_what_they_claim() -> None:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(300), 4)
    x = rng.normal(size=1200)
    y = x + rng.normal(size=300)[g] + rng.normal(size=1200)
    fit = mixfit.mixed("y ~ x + (1 | g)", pd.DataFrame({"y": y, "x": x, "g": g})).fit()
    table = mixfit.cross_validate(fit, "g").calibration()
    np.testing.assert_allclose(table["observed"], table["nominal"], atol=0.05)


def test_events_are_compared_with_probabilities() -> None:
    table = mixfit.cross_validate(herds_fit(), "herd").calibration(bins=4)
    assert len(table) == 4
    assert table["n"].sum() == mixfit.datasets.load("cbpp")["size"].sum()
    assert ((table["lower"] < table["observed"]) & (table["observed"] < table["upper"])).all()
    first = table.iloc[0]
    wanted = proportion_confint(first["n"] * first["observed"], first["n"], method="wilson")
    np.testing.assert_allclose(first[["lower", "upper"]], wanted)


def test_levels_that_one_group_alone_determines_are_named() -> None:
    data = sleep().assign(late=(sleep()["Subject"].astype(str) == "372").astype(float))
    fit = mixfit.mixed("Reaction ~ Days + late + (1 | Subject)", data).fit()
    for refit in (None, "theta"):
        with pytest.raises((DesignError, FitError), match=r"Without Subject '372'.*late"):
            mixfit.cross_validate(fit, "Subject", refit=refit)  # type: ignore[arg-type]
    assert np.isfinite(mixfit.cross_validate(fit, 10, seed=1).score).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"by": "Days"}, DataError, "'Days' is neither"),
        ({"by": 1}, DataError, "by=1 is no number of folds"),
        ({"by": 181}, DataError, "give 2 to 180"),
        ({"by": 2.5}, ArgumentError, "not 2.5"),
        ({"by": ["a"] * 180}, DataError, "one level, 'a'"),
        ({"by": [(np.arange(100), np.arange(0))]}, DataError, "split 0 of by= leaves no row to predict"),
        ({"by": [(np.arange(0), np.arange(9))]}, DataError, "split 0 of by= leaves no row to fit to"),
        ({"by": [(np.arange(100), np.arange(90, 110))]}, DataError, "row 90 both"),
        ({"by": [(np.arange(100), np.array([180]))]}, DataError, "no places among the 180 rows"),
        ({"by": [(np.arange(2), np.arange(2, 180))]}, DesignError, "2 rows are left to fit 2 fixed effects"),
        ({"by": "Subject", "seed": 1}, ArgumentError, "seed="),
        ({"by": 3, "groups": "Subject"}, ArgumentError, "groups="),
        ({"by": 3, "scoring": "auc"}, ArgumentError, "'auc'"),
        ({"by": 3, "scoring": "brier"}, FitError, "Brier"),
        ({"by": 3, "refit": True}, ArgumentError, "refit="),
    ],
)
def test_what_cannot_be_left_out_is_refused(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mixfit.cross_validate(sleep_fit(), **arguments)  # type: ignore[arg-type]


def test_other_models_are_refused() -> None:
    residual = mixfit.mixed("Reaction ~ Days", sleep(), residual="ar1(Days | Subject)").fit()
    with pytest.raises(FitError, match="residual="):
        mixfit.cross_validate(residual, "observation")
    wine = mixfit.mixed("rating ~ temp + (1 | judge)", mixfit.datasets.load("wine"), family="cumulative").fit()
    with pytest.raises(FitError, match="of the mean alone"):
        mixfit.cross_validate(wine, "judge")


def test_a_factor_that_a_model_without_any_does_not_have() -> None:
    fit = mixfit.mixed("distance ~ age", mixfit.datasets.load("orthodont"), dispersion="~ Sex").fit()
    with pytest.raises(DataError, match="which has none"):
        mixfit.cross_validate(fit, by="Subject")
