"""Leverages, Cook's distances and influence of groups: against lme4 and, for generalized models, dense algebra."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import BiasWarning, DataError
from mixfit.inference.influence import influence
from mixfit.inference.left_out import partition
from mixfit.matrices.rows import subset
from tests.dense import full_z, relative_covariance
from tests.inference.descriptive import REFERENCE, reference_fit
from tests.inference.fits import herds
from tests.random_designs import Sketch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.results import GeneralizedResults, LinearResults

    Array = NDArray[np.float64]

DATA = Path(__file__).parents[1] / "data"
# lme4 1.1-31, tight tolerances: hatvalues, cooks.distance, and refits without each group (lmer on the other rows);
# weighted: weights 0.5 + ((0, ..., n - 1) mod 7) / 3
LME4 = json.loads((DATA / "influence.json").read_text())
GROUPS = [
    ("sleep", "Subject"),
    ("weighted", "Subject"),
    ("crossed", "plate"),
    ("crossed", "sample"),
    ("nested", "batch"),
]


@cache
def lme4_fit(name: str) -> LinearResults:
    if name == "crossed":
        return reference_fit("Penicillin")
    if name == "nested":
        return reference_fit("Pastes")
    data = mixfit.datasets.load("sleepstudy")
    data["w"] = 0.5 + (np.arange(len(data)) % 7) / 3.0
    weights = "w" if name == "weighted" else None
    return mixfit.mixed("Reaction ~ Days + (Days|Subject)", data, weights=weights).fit()


@cache
def generalized_fit(name: str) -> GeneralizedResults:
    if name == "binomial":
        return herds()
    if name == "gamma":
        formula = "Reaction ~ Days + (Days|Subject)"
        return mixfit.mixed(formula, mixfit.datasets.load("sleepstudy"), family="gamma(log)").fit()
    data = mixfit.datasets.load("grouseticks")
    data = data.assign(h=(data["HEIGHT"] - data["HEIGHT"].mean()) / 100)
    return mixfit.mixed("TICKS ~ C(YEAR) + h + (1|BROOD) + (1|LOCATION)", data, family=name).fit()


@pytest.mark.parametrize("name", list(REFERENCE))
def test_first_rows_of_lme4(name: str) -> None:
    fit, item = reference_fit(name), REFERENCE[name]
    # theta of the reference is 1e-5 from the optimum in sleepstudy, where the fit ends within 1e-13 of it
    atol, rtol = (2e-6, 3e-6) if name == "sleepstudy" else (1e-6, 1e-7)
    np.testing.assert_allclose(fit.hatvalues().head(10), item["hat_head"], atol=atol)
    np.testing.assert_allclose(fit.cooks_distance().head(10), item["cooks_obs_head"], rtol=rtol, atol=atol)
    np.testing.assert_allclose(fit.residuals("scaled").head(10), item["resid_pearson_head"], rtol=rtol, atol=2e-6)


@pytest.mark.parametrize("name", list(LME4))
def test_leverages_and_distances_of_lme4(name: str) -> None:
    fit = lme4_fit(name)
    np.testing.assert_allclose(fit.hatvalues(), LME4[name]["hat"], atol=1e-6)
    np.testing.assert_allclose(fit.cooks_distance(), LME4[name]["cooks"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("name", "group"), GROUPS)
def test_refits_without_each_group(name: str, group: str) -> None:
    found, wanted = lme4_fit(name).influence(group, refit=True), LME4[name][group]
    np.testing.assert_allclose(found.dfbeta.to_numpy().ravel(), wanted["dfbeta"], atol=1e-5)
    np.testing.assert_allclose(found.dfbetas.to_numpy().ravel(), wanted["dfbetas"], atol=1e-5)
    np.testing.assert_allclose(found.cooks, wanted["cooks"], atol=1e-6)
    np.testing.assert_allclose(found.sigma, wanted["sigma"], rtol=5e-6)
    assert found.converged is not None
    assert found.converged.all()
    assert found.theta is not None
    assert found.theta.shape == (len(found.cooks), len(lme4_fit(name).theta))


@pytest.mark.parametrize(("name", "group"), GROUPS)
def test_one_step_is_near_the_refit(name: str, group: str) -> None:
    fit = lme4_fit(name)
    one, full = fit.influence(group), fit.influence(group, refit=True)
    scale = fit.bse.to_numpy()
    assert np.abs((one.dfbeta - full.dfbeta).to_numpy() / scale).max() < 0.05
    np.testing.assert_allclose(one.cooks, fit.cooks_distance(by=group))
    np.testing.assert_allclose(one.dfbeta, fit.dfbeta(by=group))


def dense_working(fit: GeneralizedResults) -> tuple[Array, Array, Array, Array]:
    """X, working response, V and weights of the scoring step, from eta alone."""
    design, family, eta = fit.model.design, fit.model.family, fit.estimate.eta
    prior = np.ones(fit.nobs) if design.weights is None else design.weights
    mu, slope = family.link.mean(eta), family.link.slope(eta)
    weights = slope**2 / family.row_variance(prior, mu, fit.dispersion)
    response = eta + (design.y - mu) / slope
    Z = np.hstack([full_z(term) for term in design.random])
    V = np.diag(1.0 / weights) + Z @ relative_covariance(design, fit.estimate.templates) @ Z.T
    return fit.model.exog, response, V, weights


@pytest.mark.parametrize("name", ["binomial", "poisson", "nbinom2", "gamma"])
def test_leverages_of_generalized_models(name: str) -> None:
    fit = generalized_fit(name)
    X, _, V, weights = dense_working(fit)
    inverse = np.linalg.inv(V)
    vx = inverse @ X
    projection = inverse - vx @ np.linalg.solve(X.T @ vx, vx.T)
    leverages = fit.hatvalues().to_numpy()
    np.testing.assert_allclose(leverages, 1.0 - projection.diagonal() / weights, atol=1e-7)
    scaled = fit.residuals("scaled").to_numpy()
    wanted = (scaled / (1 - leverages)) ** 2 * leverages / X.shape[1]
    np.testing.assert_allclose(fit.cooks_distance(), wanted)


@pytest.mark.parametrize(("name", "group"), [("binomial", "herd"), ("poisson", "LOCATION"), ("gamma", "Subject")])
def test_one_step_of_generalized_models(name: str, group: str) -> None:
    fit = generalized_fit(name)
    X, y, V, _ = dense_working(fit)
    found = fit.influence(group)
    codes = partition(group, fit.model.design)[1]

    def estimate(keep: NDArray[np.bool_]) -> Array:
        vx = np.linalg.solve(V[np.ix_(keep, keep)], X[keep])
        return np.linalg.solve(vx.T @ X[keep], vx.T @ y[keep])

    beta = estimate(np.ones(len(y), bool))
    for j, level in enumerate(found.cooks.index):
        np.testing.assert_allclose(found.dfbeta.loc[level], estimate(codes != j) - beta, atol=1e-7)
    cov = fit.cov_params().to_numpy()
    wanted = np.einsum("gp,pg->g", found.dfbeta, np.linalg.solve(cov, found.dfbeta.T)) / len(cov)
    np.testing.assert_allclose(found.cooks, wanted)
    assert (found.sigma == 1.0).all()


def test_generalized_refits() -> None:
    fit = generalized_fit("binomial")
    found = fit.influence("herd", refit=True)
    data = mixfit.datasets.load("cbpp")
    other = mixfit.mixed(fit.model.formula_text, data[data["herd"].astype(str) != "3"], family="binomial").fit()
    np.testing.assert_allclose(found.dfbeta.iloc[2], other.params - fit.params, atol=1e-9)
    np.testing.assert_allclose(found.dfbetas.iloc[2], (other.params - fit.params) / other.bse, atol=1e-6)
    assert found.sigma.eq(1.0).all()


def test_any_labels_can_be_left_out() -> None:
    fit = lme4_fit("sleep")
    half = pd.Series(np.where(np.arange(180) < 90, "first", "second"), name="half")
    found = fit.influence(half)
    assert found.by == "half"
    assert list(found.cooks.index) == ["first", "second"]
    assert found.nobs.tolist() == [90, 90]
    rows = fit.influence("observation")
    assert rows.dfbeta.shape == (180, 2)
    np.testing.assert_allclose(fit.dfbeta(), rows.dfbeta)


def test_labels_in_another_order_are_read_by_their_index() -> None:
    sleep = mixfit.datasets.load("sleepstudy").sample(frac=1.0, random_state=1)
    fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
    labels = sleep["Subject"].astype(str)
    expected = fit.influence(labels.to_numpy()).dfbeta
    assert_allclose(fit.influence(labels.sort_index()).dfbeta, expected)
    some = mixfit.mixed(
        "Reaction ~ Days + (1 | Subject)", sleep.assign(Days=sleep["Days"].where(sleep.index > 3))
    ).fit()
    assert_allclose(some.influence(labels).dfbeta, some.influence(labels[sleep.index > 3].to_numpy()).dfbeta)
    robust = [fit.robust("CR2", cluster=given).bse for given in (None, "Subject", labels, labels.sort_index())]
    for own in robust[1:]:
        assert_allclose(own, robust[0])
    held = [mixfit.cross_validate(fit, given).predictions["mean"] for given in ("Subject", labels.sort_index())]
    assert_allclose(*held)


def test_factors_are_found_whatever_the_order_of_their_parts() -> None:
    fit = lme4_fit("nested")
    pd.testing.assert_series_equal(fit.cooks_distance("batch:cask"), fit.cooks_distance("cask:batch"))


def test_what_cannot_be_left_out_is_refused() -> None:
    fit = lme4_fit("sleep")
    with pytest.raises(DataError, match=r"'Days'.*'Subject'"):
        fit.cooks_distance(by="Days")
    with pytest.raises(DataError, match="3 labels for the 180 rows"):
        fit.influence(["a", "b", "c"])
    with pytest.raises(DataError, match="missing"):
        fit.influence(["a"] * 179 + [None])


def test_groups_without_which_there_is_no_fit_are_nan() -> None:
    data = pd.DataFrame({"y": np.random.default_rng(1).normal(size=12), "g": np.repeat(["a", "b"], 6)})
    found = influence(mixfit.mixed("y ~ 1 + (1|g)", data).fit(), np.r_[np.zeros(11), 1.0], refit=True)
    assert np.isnan(found.dfbeta.loc[0.0]).all()
    assert found.converged is not None
    assert found.converged.tolist() == [False, True]


def test_subsets_renumber_the_levels() -> None:
    design = Sketch(2, "nested", 30, weights=True, offset=True).design()
    keep = design.random[0].grouping.codes != 1
    part = subset(design, keep)
    for old, new in zip(design.random, part.random, strict=True):
        labels = old.grouping.levels[old.grouping.codes[keep]]
        assert list(new.grouping.levels[new.grouping.codes]) == list(labels)
        assert set(new.grouping.codes) == set(range(new.grouping.n_levels))
    assert part.weights is not None
    assert len(part.weights) == len(part.y) == keep.sum()


def test_leverages_count_parameters() -> None:
    """Sums of leverages lie between p and the number of all effects; those of a singular fit are the fixed ones'."""
    singular = mixfit.mixed("Yield ~ 1 + (1|Batch)", mixfit.datasets.load("dyestuff2")).fit()
    assert singular.hatvalues().sum() == pytest.approx(1.0)
    assert 2 < lme4_fit("sleep").hatvalues().sum() < 2 + 36


def test_print() -> None:
    found = lme4_fit("sleep").influence("Subject")
    lines = str(found).splitlines()
    assert lines[0].startswith("Influence of each Subject left out (theta held)")
    assert lines[1].split() == ["nobs", "Cook's", "D", "(Intercept)", "Days"]
    assert lines[2].split()[0] == "309"
    assert "<table" in found._repr_html_()
    assert "more" not in str(found)
    assert found.to_frame()["Cook's D"].is_monotonic_decreasing
    assert found.to_frame()["Cook's D"].to_dict() == found.cooks.to_dict()
    rows = str(lme4_fit("sleep").influence("observation")).splitlines()
    assert len(rows) == 2 + 20 + 1
    assert rows[-1] == "... and 160 more: all of them are in .table()"


def test_refits_keep_the_method() -> None:
    herds = mixfit.datasets.load("cbpp").head(24)
    model = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1|herd)", herds, family="binomial")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BiasWarning)
        fit = model.fit(method="pql")
        found = fit.dfbeta("herd", refit=True).iloc[0]
        first = herds["herd"] == found.name
        alone = mixfit.mixed(model.formula, herds[~first], family="binomial").fit(method="pql")
    np.testing.assert_allclose(found, alone.params - fit.params, atol=1e-6)


def test_maximum_likelihood_has_the_definition_of_lme4() -> None:
    """Residuals over the fit's own sigma, and its own covariance: no n / (n - p) makes them those of REML."""
    sleep = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit(reml=False)
    # lme4's cooks.distance(m), and cooks.distance(influence(m, "Subject")), which has (q - p) / q of 18 groups in it.
    np.testing.assert_allclose(fit.cooks_distance().head(3), [0.006102786, 0.041002472, 0.222750276], rtol=1e-4)
    by_subject = np.array([0.08698150275, 0.13979354868, 0.10402561689]) * 18.0 / 16.0
    np.testing.assert_allclose(fit.cooks_distance("Subject").head(3), by_subject, rtol=1e-4)
    r, h = fit.residuals("pearson") / fit.sigma, fit.hatvalues()
    np.testing.assert_allclose(fit.cooks_distance(), (r / (1.0 - h)) ** 2 * h / 2.0, rtol=1e-12)
