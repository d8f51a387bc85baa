"""ICC, R2 and principal components: against performance, lme4 and formulas worked out from glmmTMB's estimates."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import FitError
from mixfit.inference.variances import mean_random_variances, variance_components
from tests.dense import full_z
from tests.inference.descriptive import REFERENCE, reference_fit
from tests.inference.fits import herds
from tests.random_designs import Sketch, draw_templates

if TYPE_CHECKING:
    from mixfit.results import GeneralizedResults

# its theta is so far from the root of the exact gradient (where lme4 1.1-31 stops too, told to), elsewhere 1e-7
TOLERANCE = {"sleepstudy": 1e-5, "Penicillin": 3e-5}

# From glmmTMB's estimates (probit and cloglog: lme4's, whose Laplace approximation mixfit has there), adjusted and
# unadjusted ICC, marginal and conditional R2. The distribution-specific variance is pi^2/3, 1, pi^2/6; over the mean
# number of trials (cbpp); log(1 + 1/mu [+ 1/phi]) with mu = exp(b0 + tau/2) of the model ~ 1 + (same random terms);
# log(1 + phi).
GENERALIZED = {
    "binomial(logit)": (0.05501532479, 0.05357173579, 0.02623976155, 0.07981149734),
    "binomial(probit)": (0.06799603998, 0.06577936936, 0.03259999592, 0.09837936527),
    "binomial(cloglog)": (0.06225556932, 0.06051406704, 0.02797343756, 0.0884875046),
    "trials": (0.6534099148, 0.422176331, 0.3538874734, 0.7760638043),
    "single trials": (0.1114151901, 0.1018985485, 0.08541601514, 0.1873145637),
    "poisson": (0.8568724409, 0.3285798254, 0.6165358929, 0.9451157183),
    "poisson, rows": (0.6351341331, 0.269810769, 0.575190885, 0.845001654),
    "nbinom2": (0.6858742935, 0.2823510255, 0.5883341479, 0.8706851734),
    "gamma": (0.6254237315, 0.4522519596, 0.2768871137, 0.7291390733),
}


@cache
def generalized_fit(name: str) -> GeneralizedResults:
    if name.startswith("binomial"):
        data = mixfit.datasets.load("contraception")
        data = data.assign(use=(data["use"] == "Y").astype(int), age2=data["age"] / 10)
        return mixfit.mixed("use ~ age2 + urban + (1|district)", data, family=name).fit()
    if "trials" in name:
        return herds()
    if name == "gamma":
        data = mixfit.datasets.load("sleepstudy")
        return mixfit.mixed("Reaction ~ Days + (1|Subject)", data, family="gamma(log)").fit()
    data = mixfit.datasets.load("grouseticks")
    data = data.assign(h=(data["HEIGHT"] - data["HEIGHT"].mean()) / 100)
    second = "INDEX" if name == "poisson, rows" else "LOCATION"
    formula = f"TICKS ~ C(YEAR) + h + (1|BROOD) + (1|{second})"
    return mixfit.mixed(formula, data, family=name.split(",")[0]).fit()


@pytest.mark.parametrize("name", list(REFERENCE))
def test_icc_and_r2_of_performance(name: str) -> None:
    fit, item = reference_fit(name), REFERENCE[name]
    rtol = TOLERANCE.get(name, 1e-6)
    icc, r2 = fit.icc(), fit.r2()
    np.testing.assert_allclose(icc.adjusted, item["icc"]["ICC_adjusted"], rtol=rtol)
    np.testing.assert_allclose(icc.unadjusted, item["icc"]["ICC_unadjusted"], rtol=rtol)
    np.testing.assert_allclose(r2.conditional, item["r2"]["conditional"], rtol=rtol)
    np.testing.assert_allclose(r2.marginal, item["r2"]["marginal"], rtol=rtol, atol=1e-20)


@pytest.mark.parametrize("name", list(GENERALIZED))
def test_icc_and_r2_of_generalized_models(name: str) -> None:
    fit, single = generalized_fit(name), name == "single trials"
    icc, r2 = fit.icc(per_trial=single), fit.r2(per_trial=single)
    found = (icc.adjusted, icc.unadjusted, r2.marginal, r2.conditional)
    np.testing.assert_allclose(found, GENERALIZED[name], rtol=1e-5)


@pytest.mark.parametrize(("link", "variance"), [("logit", np.pi**2 / 3), ("probit", 1.0), ("cloglog", np.pi**2 / 6)])
def test_variance_of_binary_responses(link: str, variance: float) -> None:
    assert variance_components(generalized_fit(f"binomial({link})")).distribution == pytest.approx(variance)


def test_effects_of_single_rows_count_as_residual() -> None:
    fit = generalized_fit("poisson, rows")
    variances = fit.icc().variances
    assert list(variances.by_group) == ["BROOD"]
    sd = fit.varcorr().to_frame().set_index("grp")["sdcor"]
    assert variances.dispersion == pytest.approx(sd["INDEX"] ** 2)
    assert variances.random == pytest.approx(sd["BROOD"] ** 2)


def test_proportions_say_of_how_many_trials() -> None:
    """Single trials have the latent variance of the link, as performance's icc up to insight 0.19 has it."""
    fit = herds()
    assert "proportions of 15.04 trials on average" in str(fit.icc())
    assert "trials" not in str(fit.icc(per_trial=True))
    variance = fit.theta[0] ** 2
    assert fit.icc(per_trial=True).adjusted == pytest.approx(variance / (variance + np.pi**2 / 3))


def test_mean_variance_of_random_slopes() -> None:
    design = Sketch(3, "crossed", 40, ((3, "us"), (2, "diag")), weights=True).design()
    templates = draw_templates(design, np.random.default_rng(1))
    found = mean_random_variances(design.random, templates, 1.5)
    for term, t, mean in zip(design.random, templates, found, strict=True):
        Z = full_z(term)
        covariance = Z @ np.kron(np.eye(term.grouping.n_levels), 1.5**2 * t @ t.T) @ Z.T
        assert mean == pytest.approx(covariance.diagonal().mean())


def test_icc_by_group_adds_up() -> None:
    fit = reference_fit("Penicillin")
    table = fit.icc(by_group=True)
    sd = fit.varcorr().to_frame().set_index("grp")["vcov"]
    wanted = sd[["plate", "sample"]] / sd.sum()
    assert dict(zip(table["Group"], table["ICC"], strict=True)) == pytest.approx(wanted.to_dict())
    assert table["ICC"].sum() == pytest.approx(fit.icc().adjusted)
    assert str(table).splitlines()[0] == "# ICC by Group"
    assert f"{wanted['plate']:.3f}" in str(table)


def test_singular_effects_count_as_zero_and_say_so() -> None:
    fit = mixfit.mixed("Yield ~ 1 + (1|Batch)", mixfit.datasets.load("dyestuff2")).fit()
    assert fit.is_singular
    assert fit.icc().adjusted == 0.0
    assert fit.r2().conditional == pytest.approx(0.0, abs=1e-20)
    assert "singular" in str(fit.icc())
    assert "singular" not in str(reference_fit("pulp").icc())


def test_families_without_a_known_variance_are_refused() -> None:
    data = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + (1|Subject)", data, family="gamma(identity)").fit()
    with pytest.raises(FitError, match=r"gamma\(identity\).*poisson"):
        fit.icc()


def test_print() -> None:
    assert str(reference_fit("sleepstudy").icc()) == (
        "# Intraclass Correlation Coefficient\n\n    Adjusted ICC: 0.722\n  Unadjusted ICC: 0.521"
    )
    assert reference_fit("sleepstudy").r2()._repr_html_().startswith("<pre># R2 for Mixed Models")


@pytest.mark.parametrize("name", list(REFERENCE))
def test_principal_components(name: str) -> None:
    found = reference_fit(name).re_pca()
    for group, sdev in REFERENCE[name]["rePCA"].items():
        # lme4 names the factors of batch/cask from the inside out
        own = found[group if group in found.components else ":".join(reversed(group.split(":")))]
        np.testing.assert_allclose(own.sdev, sdev, rtol=TOLERANCE.get(name, 1e-6))


def test_principal_components_of_several_terms() -> None:
    data = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + (1|Subject) + (0 + Days|Subject)", data).fit()
    own = fit.re_pca()["Subject"]
    np.testing.assert_allclose(own.sdev, np.sort(fit.theta)[::-1])
    np.testing.assert_allclose(np.abs(own.rotation), np.eye(2))
    assert own.columns == ("Intercept", "Days")
    np.testing.assert_allclose(own.to_frame().loc["Cumulative Proportion"].iloc[-1], 1.0)


def test_principal_components_rebuild_the_factor() -> None:
    fit = reference_fit("sleepstudy")
    own = fit.re_pca()["Subject"]
    relative = fit.varcorr()["Subject"].to_numpy() / fit.scale
    np.testing.assert_allclose(own.rotation @ np.diag(own.sdev**2) @ own.rotation.T, relative, rtol=1e-10)
    assert isinstance(fit.re_pca().to_frame(), pd.DataFrame)


def test_principal_components_print_as_r_does() -> None:
    # R 4.2, lme4 1.1-31: summary(rePCA(lmer(Reaction ~ Days + (Days | Subject), sleepstudy)))
    assert str(reference_fit("sleepstudy").re_pca()) == (
        "$Subject\n"
        "Importance of components:\n"
        "                         [,1]    [,2]\n"
        "Standard deviation     0.9669 0.23088\n"
        "Proportion of Variance 0.9460 0.05395\n"
        "Cumulative Proportion  0.9460 1.00000"
    )
