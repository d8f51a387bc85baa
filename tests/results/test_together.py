"""What pieces of a model do together: held coefficients, several predictors, known covariances, ordered categories."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import ArgumentError, DesignError, FitError, FormulaError

LEVELS = [f"g{i:02d}" for i in range(15)]
K = pd.DataFrame(np.eye(15), LEVELS, LEVELS)


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng, n = np.random.default_rng(1), 120
    d = pd.DataFrame({"g": np.repeat(LEVELS, 8), "x": rng.standard_normal(n), "f": rng.choice(list("ab"), n)})
    d["w"] = rng.uniform(0.5, 2.0, n)
    d["y"] = d["x"] + rng.standard_normal(n) + np.repeat(rng.standard_normal(15), 8)
    d["c"] = rng.poisson(np.exp(0.5 + 0.2 * d["x"]))
    d["o"] = pd.Categorical(np.digitize(d["y"], [-1.0, 0.0, 1.0]), ordered=True)
    return d


def test_held_coefficients_are_not_tested(data: pd.DataFrame) -> None:
    fit = mixfit.mixed("c ~ x + f + (1 | g)", data, family="poisson", fixed={"x": 0.2}).fit()
    table = fit.anova().frame
    assert table.loc["x"].isna().all()
    assert table.loc["f", "Chisq"] == pytest.approx((fit.params["f[T.b]"] / fit.bse["f[T.b]"]) ** 2)
    assert np.isnan(fit.tvalues["x"])
    with pytest.raises(FitError, match="fixed= holds some"):
        fit.dfbeta()
    assert 0.0 <= fit.r2().marginal <= 1.0
    with pytest.raises(ArgumentError, match="by name"):
        mixfit.mixed("c ~ x + (1 | g)", data, family="poisson", fixed=["x"])


def test_random_terms_of_other_predictors_alone(data: pd.DataFrame) -> None:
    salamanders = mixfit.datasets.load("salamanders")
    fit = mixfit.mixed("count ~ mined", salamanders, family="poisson", zi="~ 1 + (1 | site)").fit()
    assert "site: (Intercept)" in str(fit.summary())
    assert "Groups" in str(fit.varcorr())
    flat = mixfit.mixed("y ~ x + f + (1 | g)", data, dispersion="~ x + (1 | g)").fit()
    template = flat.estimate.further["dispersion"].templates[0]
    assert flat.is_singular == (template[0, 0] < 1e-4)
    with pytest.raises(FormulaError, match="no terms"):
        mixfit.mixed("c ~ x + (1 | g)", data, family="poisson", zi="~ 0")


def test_rows_of_weight_zero_have_no_response(data: pd.DataFrame) -> None:
    data = data.assign(w=np.where(data.index < 2, 0.0, data["w"]))
    drawn = mixfit.mixed("y ~ x + (1 | g)", data, weights="w").fit().simulate(newdata=data, seed=1)
    assert drawn["sim_1"].isna().tolist() == [True, True] + [False] * 118


def test_known_covariances_in_figures_and_of_one_level(data: pd.DataFrame) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    for term in ("equalto", "propto"):
        mixfit.mixed(f"y ~ x + {term}(1 | g, K)", data, context={"K": K}).fit().plot.shrinkage()
    with pytest.raises(DesignError, match="one level"):
        mixfit.mixed("y ~ x + equalto(1 | g, K)", data.assign(g="g00"), context={"K": K})


def test_ordered_categories(data: pd.DataFrame) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    fit = mixfit.mixed("o ~ x + (1 | g)", data, family="cumulative").fit()
    fit.plot.quantile_residual_plot(n=20, seed=1)
    with pytest.raises(FitError, match="no argument 'predictor'"):
        fit.conf_int(predictor="dispersion")


def test_what_has_no_meaning_is_refused(data: pd.DataFrame) -> None:
    strata = mixfit.mixed("y ~ x + (1 | g)", data, dispersion="~ x").fit()
    with pytest.raises(FitError, match="one residual variance"):
        strata.heritability()
    with pytest.raises(mixfit.errors.ComparisonError, match="residual="):
        strata.compare_families("t")
    counts = mixfit.mixed("c ~ x + (1 | g)", data, family="poisson").fit()
    with pytest.raises(FitError, match="averages the response"):
        counts.predict(re_form="marginal", what="link")
    assert len(counts.compare_families("nbinom2").frame) == 2
