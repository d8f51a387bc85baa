"""The page for users of statsmodels: every call of its tables is made, and every number in its prose is computed.

How far the other package's searches get depends on its version and on the processor, so nothing here asks whether they
converge or where they fail: where models are difficult, its likelihood is evaluated at a known place.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt
from statsmodels.regression.mixed_linear_model import MixedLM, MixedLMParams

import mixfit
from tests.docs.pages import DOCS, run

# The page runs as its build runs it.
pytestmark = pytest.mark.slow

PAGE = "from_statsmodels.md"
CODE = re.compile(r"`([^`]+)`")


def calls() -> list[str]:
    """The code of all tables, of both packages: whatever stands between backticks."""
    lines = (DOCS / PAGE).read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    return [code.replace(r"\|", "|") for row in rows for code in CODE.findall(row)]


def test_tables_are_read_whole() -> None:
    # Six models and 24 rows of calls, each with at least one call; most have two.
    assert len(calls()) > 60


@pytest.mark.parametrize("call", calls())
def test_every_call_of_the_tables_runs(call: str) -> None:
    assert eval(call, dict(run(PAGE).names)) is not None
    plt.close("all")


def models() -> list[tuple[str, str]]:
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    pairs = re.findall(r"\| `(smf\.[^`]+)` \| `(mixfit\.[^`]+)` \|", text)
    return [(theirs, ours.replace(r"\|", "|")) for theirs, ours in pairs]


def test_there_are_six_models() -> None:
    assert len(models()) == 6


def variances_of(model: MixedLM, fit: Any) -> tuple[np.ndarray, np.ndarray]:
    """cov_re and vcomp of MixedLM, which are over the scale, at an estimate of mixfit."""
    if model.k_vc == 0:
        return fit.varcorr()["Subject"].to_numpy() / fit.scale, np.empty(0)
    frame = fit.varcorr().to_frame()
    ratio = (frame.loc[frame["grp"] != "Residual", "vcov"] / fit.scale).to_numpy()
    # Nested: mixfit names casks in batches first, then the batches, which are MixedLM's groups.
    return np.diag(ratio[model.k_vc :]), ratio[: model.k_vc]


@pytest.mark.parametrize(("theirs", "ours"), models())
def test_models_of_a_row_are_the_same(theirs: str, ours: str) -> None:
    """Their likelihood at our estimate is ours."""
    names = dict(run(PAGE).names)
    model, fit = eval(theirs, names), eval(ours, names).fit()
    cov_re, vcomp = variances_of(model, fit)
    model.reml, model.fe_pen, model.cov_pen = True, None, None  # what its fit sets before it searches
    params = MixedLMParams.from_components(fe_params=fit.params.to_numpy(), cov_re=cov_re, vcomp=vcomp)
    assert model.loglike(params) == pytest.approx(fit.llf, abs=1e-7)


def test_side_by_side() -> None:
    page = run(PAGE)
    both = page.names["both"]
    exact = ["Intercept", "Days", "residual variance", "llf"]
    # statsmodels ends 8e-7 from the residual variance that is known in closed form of so balanced data.
    np.testing.assert_allclose(both.loc[exact, "mixfit"], both.loc[exact, "statsmodels"], rtol=1e-6)
    np.testing.assert_allclose(both["mixfit"], both["statsmodels"], rtol=5e-5)


def test_tests_of_the_slope() -> None:
    page = run(PAGE)
    m, s = page.names["m"], page.names["s"]
    np.testing.assert_allclose(m.ttest(ddf="z")["Pr(>|z|)"].iloc[1], s.pvalues.iloc[1], rtol=1e-3)
    assert m.pvalues.iloc[1] == m.ttest()["Pr(>|t|)"].iloc[1]
    assert round(float(m.ttest()["df"].iloc[1])) == 17
    assert s.f_test(np.eye(5)[1:2]).df_denom == 178
    assert np.isnan([s.aic, s.bic]).all()


def test_standard_error_of_a_variance() -> None:
    page = run(PAGE)
    m, s = page.names["m"], page.names["s"]
    ratio = float(s.bse["Subject Var"])
    shown = ratio * np.sqrt(s.scale)
    printed = re.search(r"^Subject Var +[\d.]+ +([\d.]+)", str(s.summary()), flags=re.MULTILINE)
    assert printed is not None
    assert float(printed[1]) == pytest.approx(shown, abs=0.001)
    page.says(
        f"beside `Subject Var`, about {shown:.1f}, is the standard error of the variance *ratio*, {ratio:.2f}",
        f"An error of {shown:.1f} about 612",
    )
    low, high = m.conf_int(method="profile", which="random").iloc[0]
    sd = m.varcorr().to_frame()["sdcor"][0]
    page.says(f"{sd:.1f} may well be {low:.0f} or {high:.0f}; squared, {low**2:.0f} or {high**2:.0f}")
    # The Wald interval of the standard deviation, brought to the variance, says the same as the profile does.
    wald = np.log(m.conf_int(which="random").iloc[0])
    assert (wald[1] - wald[0]) / 1.96 * sd**2 > 20 * shown


def test_easy_models_agree_and_take_less_time() -> None:
    page = run(PAGE)
    for frame in (page.names["agreement"], page.names["larger"].iloc[:1]):
        np.testing.assert_allclose(frame["llf, mixfit"], frame["llf, statsmodels"], atol=1e-5)
        assert (frame["ratio"] > 1).all()
    assert (page.names["few"].shape[0], page.names["ratings"].shape[0]) == (500, 73_421)
    page.says(f"would take {73_421**2 * 8 / 1e9:.0f} gigabytes")


def test_difficult_models() -> None:
    page = run(PAGE)
    ours, lines = page.names["ours"], page.names["lines"]
    assert all(fit.converged for fit in ours.values())
    assert all(lines[name, "mixfit"][2] == 0 for name in ours)
    assert {name for name, fit in ours.items() if fit.is_singular} == {"dyestuff2", "odd and even days"}
    page.says(f"lower by log(86,400) = {np.log(86_400):.1f}")
    assert ours["days in seconds"].llf == pytest.approx(page.names["m"].llf - np.log(86_400), abs=1e-6)
    # logLik of lmer, lme4 1.1-31: (f | Subject), and (Days + I(Days^2) | Subject) with xtol_rel = 1e-10.
    assert ours["odd and even days"].llf == pytest.approx(-892.8544124, abs=1e-6)
    assert ours["parabolas"].llf == pytest.approx(-865.003843, abs=1e-5)
    page.says("lme4 has −892.854 for odd and even days, and −865.004 for the parabolas")


@pytest.mark.parametrize("name", ["dyestuff2", "odd and even days", "parabolas"])
def test_difficult_models_have_one_likelihood_in_both(name: str) -> None:
    page = run(PAGE)
    there = page.names["lines"][name, "MixedLM's function there"][0]
    assert there == pytest.approx(page.names["ours"][name].llf, abs=1e-6)


def test_what_makes_models_difficult() -> None:
    ours = run(PAGE).names["ours"]
    assert ours["dyestuff2"].varcorr()["Batch"].to_numpy().item() == 0
    parity = ours["odd and even days"].varcorr().to_frame()
    assert parity["sdcor"][2] == pytest.approx(1, abs=1e-6), "perfectly correlated"
    parabolas = np.diag(ours["parabolas"].varcorr()["Subject"])
    assert 100 < parabolas[0] / parabolas[2] < 1000
    assert len(ours["parabolas"].theta) == 6
    seconds = np.diag(ours["days in seconds"].varcorr()["Subject"])
    assert round(np.log10(seconds[0] / seconds[1])) == 11


def test_binary_data() -> None:
    page = run(PAGE)
    g, variational = (page.names[name] for name in ("g", "variational"))
    np.testing.assert_allclose(variational.fe_mean, g.params, atol=0.02)
    assert variational.fe_sd[0] / g.bse.iloc[0] == pytest.approx(0.5, abs=0.03)


def test_the_posterior_mode_is_where_herds_have_no_effect() -> None:
    """Where herds have none, the density is highest at log SD = minus their number, and higher than anywhere else."""
    page = run(PAGE)
    bayes, g = page.names["bayes"], page.names["g"]
    n_herds = bayes.k_vc
    page.says(f"log SD = −{n_herds}, minus the number of herds")

    def density(log_sd: float, effects: np.ndarray) -> float:
        return bayes.logposterior(np.r_[g.params, log_sd, effects])

    none = np.zeros(n_herds)
    log_sds = np.linspace(-2 * n_herds, 0, 2 * n_herds + 1)
    assert log_sds[np.argmax([density(at, none) for at in log_sds])] == -n_herds
    modes = g.ranef()["herd"]["Intercept"].to_numpy()
    assert density(-n_herds, none) > density(np.log(g.theta[0]), modes) + 50


def test_predictions() -> None:
    page = run(PAGE)
    m, s, new = (page.names[name] for name in ("m", "s", "new"))
    np.testing.assert_allclose(m.predict(new, re_form="population"), s.predict(new))
    np.testing.assert_allclose(m.fittedvalues, s.fittedvalues, rtol=1e-5)
    assert (m.predict(new) - s.predict(new)).abs().min() > 50


@pytest.mark.parametrize("term", ["C(parity, Treatment('odd'))", "bs(Days, df=4)", "np.log(Days + 1)"])
def test_terms_of_patsy(term: str) -> None:
    import statsmodels.formula.api as smf

    d = run(PAGE).names["d"]
    theirs = smf.mixedlm(f"Reaction ~ {term}", d, groups="Subject").fit()
    ours = mixfit.mixed(f"Reaction ~ {term} + (1 | Subject)", d).fit()
    np.testing.assert_allclose(ours.params, theirs.fe_params, rtol=1e-6)
