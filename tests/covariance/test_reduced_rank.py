"""Reduced rank: closed forms, the whole rank, derivatives, and all that results do."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.covariance.reduced_rank import ReducedRank, trapezoid
from mixfit.covariance.unstructured import Unstructured
from mixfit.errors import FitError, FormulaError
from mixfit.inference.profiles.chart import Chart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FORMULA = "y ~ 0 + trait + rr(0 + trait | id, d={d})"


@cache
def traits(k: int = 6, q: int = 40, rows: int = 1, seed: int = 1) -> pd.DataFrame:
    """Each of k traits `rows` times on each of q units, of two factors and noise."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(k, 2)) * [2.0, 1.0]
    eta = rng.normal(size=k) + rng.normal(size=(q, 2)) @ loadings.T
    unit, trait = np.divmod(np.tile(np.arange(q * k), rows), k)
    y = eta[unit, trait] + 0.8 * rng.normal(size=len(unit))
    return pd.DataFrame(
        {
            "y": y,
            "n": rng.poisson(np.exp(0.4 * eta[unit, trait])),
            "id": [f"u{i:02d}" for i in unit],
            "trait": [f"t{i}" for i in trait],
        }
    )


def fitted(d: int = 2, *, reml: bool = False, **options: Any) -> Any:
    return mixfit.mixed(FORMULA.format(d=d), traits(**options)).fit(reml=reml)


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_one_row_a_cell_is_probabilistic_principal_components(d: int) -> None:
    """Tipping & Bishop 1999, J. R. Stat. Soc. B 61: eigenvalues of the sample covariance, those left out averaged."""
    table = traits().pivot_table(index="id", columns="trait", values="y")
    q, k = table.shape
    values = np.linalg.eigvalsh(np.cov(table.T, bias=True))[::-1]
    noise = values[d:].mean()
    deviance = q * (k * np.log(2.0 * np.pi) + np.log(values[:d]).sum() + (k - d) * np.log(noise) + k)
    fit = fitted(d)
    assert fit.converged
    assert -2.0 * fit.llf == pytest.approx(deviance, abs=1e-7)
    assert fit.sigma**2 == pytest.approx(noise, rel=1e-4)
    assert_allclose(np.linalg.eigvalsh(fit.varcorr()["id"])[::-1][:d], values[:d] - noise, rtol=1e-4)
    assert fit.certificate.n_evaluations <= 12
    assert fit.npar == k + d * (2 * k - d + 1) // 2 + 1


@pytest.mark.parametrize("reml", [False, True])
def test_the_whole_rank_is_unstructured(reml: bool) -> None:
    model = mixfit.mixed(FORMULA.format(d=2), traits(k=3, rows=2))
    (term,) = model.design.random
    whole = model.with_design(replace(model.design, random=(replace(term, structure=ReducedRank(3, 3)),))).fit(
        reml=reml
    )
    plain = mixfit.mixed("y ~ 0 + trait + (0 + trait | id)", traits(k=3, rows=2)).fit(reml=reml)
    assert whole.converged
    assert whole.llf == pytest.approx(plain.llf, abs=1e-7)
    assert_allclose(whole.varcorr()["id"], plain.varcorr()["id"], rtol=1e-3, atol=1e-3)


def test_a_rank_that_the_data_do_not_have_is_lower() -> None:
    """Of one factor and noise in two rows a cell the second adds little, or nothing and is certified."""
    rng = np.random.default_rng(3)
    frame = traits(k=3, rows=4).copy()
    unit = frame["id"].astype("category").cat.codes.to_numpy()
    frame["y"] = rng.normal(size=40)[unit] + rng.normal(size=len(frame))
    one, two = (mixfit.mixed(FORMULA.format(d=d), frame).fit() for d in (1, 2))
    assert one.converged
    assert two.converged
    assert two.llf >= one.llf - 1e-7


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("first", [(), (1,), (2, 0)])
def test_the_surface_has_the_derivatives_of_the_criterion(first: tuple[int, ...], reml: bool) -> None:
    fit = fitted(k=4, rows=2, reml=reml)
    chart = Chart.default(fit.model.likelihood_surface(fit.estimate, reml=reml))
    if first:
        natural = [(p.first, p.second) for p in ReducedRank(4, 2).natural]
        chart = chart.made_for(0, natural.index((min(first), max(first))))
    x = chart.center + 0.05 * np.random.default_rng(1).normal(size=len(chart.center))
    point = chart.evaluate(x)
    slopes = [(chart.evaluate(x + e).value - chart.evaluate(x - e).value) / 2e-5 for e in 1e-5 * np.eye(len(x))]
    assert_allclose(point.gradient, slopes, rtol=1e-5, atol=1e-4)


def test_the_covariance_form_is_differentiated() -> None:
    structure = ReducedRank(5, 2)
    rng = np.random.default_rng(1)
    theta, n = rng.normal(size=structure.n_parameters), rng.normal(size=(5, 5))
    n = n + n.T

    def sigma(theta: Array) -> Array:
        t = 1.3 * structure.template(theta)
        return np.asarray(t @ t.T)

    form = structure.variance_form(theta, 1.3)
    assert_allclose(np.einsum("a,aij->ij", form.shares, form.slopes), sigma(theta), atol=1e-12)
    steps = 1e-6 / 1.3 * np.eye(len(theta))
    slopes = [(sigma(theta + e) - sigma(theta - e)) / 2e-6 for e in steps]
    assert_allclose(form.slopes, slopes, atol=1e-8)
    bends = structure.variance_bends(theta, 1.3, n)
    for a, e in enumerate(steps):
        ahead, behind = (structure.variance_form(theta + sign * e, 1.3).slopes for sign in (1.0, -1.0))
        assert_allclose(bends[a], np.einsum("ij,bij->b", n, ahead - behind) / 2e-6, atol=1e-6)


def test_denominator_degrees_of_freedom_are_near_those_of_the_whole_rank() -> None:
    """With data of that rank, and enough of them."""
    data = traits(k=3, q=60, rows=3)
    reduced = mixfit.mixed("y ~ trait + rr(0 + trait | id, d=2)", data).fit()
    whole = mixfit.mixed("y ~ trait + (0 + trait | id)", data).fit()
    for ddf in ("satterthwaite", "kenward-roger"):
        assert_allclose(
            reduced.summary(ddf=ddf).coefficients["df"], whole.summary(ddf=ddf).coefficients["df"], rtol=0.1
        )


def test_loadings_and_scores_are_the_effects() -> None:
    fit = fitted()
    for rotation in ("principal", "triangular"):
        found = fit.loadings(rotation=rotation)
        L = found.loadings.to_numpy()
        assert L.shape == (6, 2)
        assert_allclose(L @ L.T, fit.varcorr()["id"], atol=1e-9)
        assert_allclose(found.scores.to_numpy() @ L.T, fit.ranef()["id"], atol=1e-9)
        assert found.explained.sum() == pytest.approx(1.0)
    assert_allclose(L[0, 1], 0.0, atol=1e-9)
    principal = fit.loadings("id").loadings.to_numpy()
    assert_allclose(principal.T @ principal, np.diag(np.linalg.eigvalsh(L.T @ L)[::-1]), atol=1e-9)
    assert "(share of the variance)" in str(fit.loadings())
    with pytest.raises(FitError, match="no term 'unit', but id"):
        fit.loadings("unit")


def test_what_results_do_with_it() -> None:
    fit = fitted(k=4, rows=2)
    assert "(rr, d=2)" in str(fit.varcorr())
    assert not fit.is_singular
    table = fit.varcorr().to_frame()
    assert_allclose(table["sdcor"][:4], np.sqrt(np.diagonal(fit.varcorr()["id"])))
    limits = fit.conf_int(method="profile", which="sd(trait[t0]|id)")
    assert limits.loc["sd(trait[t0]|id)", 0] < table["sdcor"][0] < limits.loc["sd(trait[t0]|id)", 1]
    assert np.isfinite(fit.conf_int(method="wald", which="all")).all(axis=None)
    assert fit.bootstrap(n=4, seed=1, progress=False).n_failed == 0
    assert_allclose(pickle.loads(pickle.dumps(fit)).predict(), fit.predict())
    draws = fit.simulate(4000, seed=1).to_numpy()
    model = fit.model
    lam = model.Lambda(fit.theta)
    wanted = fit.sigma**2 * ((model.exog_re @ lam @ lam.T @ model.exog_re.T).toarray() + np.eye(len(model.endog)))
    assert_allclose(np.cov(draws)[:6, :6], wanted[:6, :6], atol=0.12 * wanted.max())
    again = fit.model.fit(reml=False, start=fit.theta)
    assert again.llf == pytest.approx(fit.llf, abs=1e-7)


@pytest.mark.parametrize("d", [1, 2])
def test_a_generalized_model_is_the_best_of_its_rank(d: int) -> None:
    """The whole rank is better, and the loadings are all there is."""
    data = traits(k=4, rows=2)
    model = mixfit.mixed(f"n ~ 0 + trait + rr(0 + trait | id, d={d})", data, family="poisson")
    fit = model.fit()
    assert fit.converged
    whole = mixfit.mixed("n ~ 0 + trait + (0 + trait | id)", data, family="poisson").fit()
    assert fit.llf <= whole.llf + 1e-6
    assert np.isfinite(fit.estimate.theta_errors).all()
    assert_allclose(fit.loadings().loadings.to_numpy() @ fit.loadings().loadings.to_numpy().T, fit.varcorr()["id"])


def test_the_trapezoid_is_one_of_many_roots() -> None:
    factor = np.random.default_rng(2).normal(size=(5, 3))
    low = trapezoid(factor)
    assert_allclose(low @ low.T, factor @ factor.T, atol=1e-12)
    assert_allclose(np.triu(low, 1), 0.0, atol=1e-12)
    assert (np.diagonal(low) >= 0.0).all()
    assert isinstance(ReducedRank(4, 2).restricted(2), Unstructured)


@pytest.mark.parametrize(
    ("term", "says"),
    [
        ("rr(0 + trait | id, d=6)", "for d from 1 to 5, not d=6"),
        ("rr(0 + trait | id, d=0)", "for d from 1 to 5, not d=0"),
        ("rr(0 + trait | id, d=x)", "takes the rank after the group.*'d=x'"),
        ("rr(1 | id)", "a covariance of 1 columns is of reduced rank"),
    ],
)
def test_other_ranks_are_refused(term: str, says: str) -> None:
    with pytest.raises(FormulaError, match=says):
        mixfit.mixed(f"y ~ 0 + trait + {term}", traits())
