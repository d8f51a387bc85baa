"""Models side by side: what stands where, and whether it is what the fits say."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import BiasWarning, FitError
from mixfit.report.model_rows import STATISTICS


@cache
def sleep(formula: str = "Reaction ~ Days + (Days | Subject)", reml: bool = True) -> Any:
    return mixfit.mixed(formula, mixfit.datasets.load("sleepstudy")).fit(reml=reml)


@cache
def ticks() -> Any:
    data = mixfit.datasets.load("grouseticks")
    return mixfit.mixed("TICKS ~ YEAR + (1 | BROOD)", data, family="nbinom2", zi="~ 1", dispersion="~ YEAR").fit()


def rows(table: Any) -> dict[str, list[str]]:
    """Cells by row names; those below an estimate under its name with a number."""
    out: dict[str, list[str]] = {}
    last, number = "", 0
    for section in table.grid.filled():
        for row in section.rows:
            last, number = (row.name, 0) if row.name else (last, number + 1)
            out[last + (f" {number}" if number else "")] = [cell.plain for cell in row.cells]
    return out


def test_estimates_over_standard_errors() -> None:
    one = sleep("Reaction ~ Days + (1 | Subject)")
    found = rows(mixfit.table({"a": one, "b": sleep()}, statistics=list(STATISTICS)))
    assert found["Days"] == ["10.467", "10.467"]
    assert found["Days 1"] == ["(0.804)", "(1.546)"]
    assert found["Subject: SD (Intercept)"] == ["37.1", "24.7"]
    assert found["Subject: SD Days"] == ["", "5.92"]
    assert found["Subject: cor (Intercept), Days"] == ["", "0.07"]
    assert found["Residual: SD"] == ["31.0", "25.6"]
    assert found["Groups: Subject"] == ["18", "18"]
    assert found["AICc"] == [f"{one.aicc:.1f}", f"{sleep().aicc:.1f}"]
    assert found["R2 conditional"] == ["0.704", "0.799"]
    assert found["RMSE"] == ["29.4", "23.4"]
    assert list(found)[-len(STATISTICS) :] == [
        *(STATISTICS[s] if s != "groups" else "Groups: Subject" for s in STATISTICS)
    ]


def test_what_stands_below() -> None:
    fit = sleep()
    tests = fit.ttest()
    table = mixfit.table(fit, below=("conf.int", "statistic", "df", "p.value"), level=0.9, stars=True)
    found = rows(table)
    limits = fit.contest(np.eye(2), joint=False, level=0.9)
    low, high = limits["lower"].iloc[1], limits["upper"].iloc[1]
    assert found["Days"] == ["10.47***"]
    assert found["Days 1"] == [f"[{low:.2f}, {high:.2f}]"]
    assert found["Days 2"] == [f"t = {tests['t value'].iloc[1]:.2f}"]
    assert found["Days 3"] == ["df = 17.0"]
    assert found["Days 4"] == ["p < 0.001"]
    assert "* p < 0.05" in table.grid.notes[-1]
    assert "Days 1" not in rows(mixfit.table(fit, below=()))
    plain = rows(mixfit.table(sleep("Reaction ~ Days + I(Days ** 2) + (1 | Subject)"), below="p.value"))
    assert plain["I(Days ** 2) 1"][0].startswith("p = 0.")
    assert not any("*" in cell for cells in plain.values() for cell in cells)


def test_degrees_of_freedom_and_robust_fits() -> None:
    fit = mixfit.mixed("yield ~ treat + (1 | blend)", mixfit.datasets.load("penicillin")).fit()
    table = mixfit.table([fit, fit.robust("CR2")], names=["model", "robust"], below="df", ddf="satterthwaite")
    found = rows(table)["treat[T.B] 1"]
    assert found == [f"df = {fit.ttest()['df'].iloc[1]:.1f}", f"df = {fit.robust().ttest()['df'].iloc[1]:.1f}"]
    assert "robust: Robust standard errors, CR2, by the 5 clusters of blend." in table.grid.notes
    kenward = mixfit.table(fit, ddf="kenward-roger").frame
    assert_allclose(kenward["std.error"], fit.ttest(ddf="kenward-roger")["Std. Error"])


def test_order_and_names() -> None:
    fit = sleep()
    found = list(rows(mixfit.table(fit, coefficients={"Days": "Days of deprivation", "Intercept": "At rest"})))
    assert found[:4] == ["Days of deprivation", "Days of deprivation 1", "At rest", "At rest 1"]
    only = rows(mixfit.table(fit, coefficients=["Days"], random=False, statistics=()))
    assert list(only) == ["Days", "Days 1"]


def test_other_predictors_have_sections() -> None:
    table = mixfit.table(ticks(), exponentiate=True, below="conf.int")
    titles = [section.title for section in table.grid.filled()]
    assert titles[:3] == ["", "Zero-inflation model", "Dispersion model"]
    own = table.frame[table.frame["part"] == "dispersion"]
    assert_allclose(own["estimate"], np.exp(ticks().params_of("dispersion")))
    assert "Estimates are exponentiated." in table.grid.notes
    (mean,) = (row for row in table.grid.sections[0].rows if row.name == "YEAR[T.96]")
    assert float(mean.cells[0].text) == pytest.approx(np.exp(ticks().params.iloc[1]), abs=0.005)


def test_thresholds_and_nonlinear_fits() -> None:
    wine = mixfit.datasets.load("wine")
    ordinal = mixfit.mixed("rating ~ temp + (1 | judge)", wine, family="cumulative").fit()
    assert next(iter(rows(mixfit.table(ordinal, below="p.value")))) == "1|2"
    weights = mixfit.datasets.load("orthodont")
    curve = mixfit.nonlinear("distance ~ a + b * age ~ a | Subject", weights, start={"a": 17.0, "b": 0.6}).fit()
    found = rows(mixfit.table([sleep(), curve]))
    assert found["a"][0] == ""
    assert float(found["a"][1]) == pytest.approx(curve.params["a"], abs=0.01)


def test_small_estimates_keep_their_digits() -> None:
    data = mixfit.datasets.load("sleepstudy").assign(Days=lambda d: d["Days"] * 1e5)
    found = rows(mixfit.table(mixfit.mixed("Reaction ~ Days + (1 | Subject)", data).fit()))
    assert found["Days"] == ["0.00010467"]
    assert found["Days 1"] == ["(0.00000804)"]


def test_notes_are_true() -> None:
    same = mixfit.table([sleep(), sleep("Reaction ~ Days + (1 | Subject)")])
    other = mixfit.table([sleep(), sleep("Reaction ~ 1 + (1 | Subject)")])
    mixed = mixfit.table([sleep(), sleep(reml=False)])
    assert not same.grid.notes
    assert all("REML fits of the same fixed effects only" in t.grid.notes[0] for t in (other, mixed))
    assert not mixfit.table([sleep(), sleep("Reaction ~ 1 + (1 | Subject)")], statistics=["nobs"]).grid.notes
    cbpp = mixfit.datasets.load("cbpp")
    model = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, family="binomial")
    with pytest.warns(BiasWarning):
        quasi = model.fit(method="pql")
    table = mixfit.table({"ml": model.fit(), "pql": quasi})
    assert rows(table)["AIC"][1] == ""
    assert "pql is by penalized quasi-likelihood and has no likelihood." in table.grid.notes


def test_forms() -> None:
    table = mixfit.table(sleep(), title="Sleep")
    assert table._repr_html_() == table.as_html()
    assert str(table) == table.as_text()
    assert r"\caption{Sleep}" in table.as_latex()
    assert table.as_markdown().startswith("**Sleep**")


def test_saving(tmp_path: Any) -> None:
    mixfit.table(sleep()).save(tmp_path / "sleep.tex", label="tab:sleep")
    assert r"\label{tab:sleep}" in (tmp_path / "sleep.tex").read_text()


def test_fits_one_by_one_as_a_list_or_by_name() -> None:
    one, two = sleep(), sleep("Reaction ~ Days + (1 | Subject)")
    text = mixfit.table([one, two], names=["a", "b"]).as_text()
    for same in (
        mixfit.table(one, two, names=["a", "b"]),
        mixfit.table((one, two), names=["a", "b"]),
        mixfit.table({"a": one, "b": two}),
        mixfit.table({"x": one, "y": two}, names=["a", "b"]),
    ):
        assert same.as_text() == text


def test_refusals() -> None:
    with pytest.raises(FitError, match="one of them is DataFrame"):
        mixfit.table([sleep(), mixfit.datasets.load("pulp")])
    with pytest.raises(FitError, match="a different name for each of the 2 fits"):
        mixfit.table([sleep(), sleep()], names=["a", "a"])
    with pytest.raises(FitError, match="There are no fits"):
        mixfit.table([])
    with pytest.raises(FitError, match="There are no fits"):
        mixfit.table()
    with pytest.raises(FitError, match="below= has 'se'"):
        mixfit.table(sleep(), below="se")
    with pytest.raises(FitError, match="statistics= has 'r2'"):
        mixfit.table(sleep(), statistics=["r2"])
    with pytest.raises(FitError, match=r"No model has the fixed effect 'Dys'; there are \(Intercept\), Days"):
        mixfit.table(sleep(), coefficients=["Dys"])
    with pytest.raises(FitError, match="a sequence of names or a mapping"):
        mixfit.table(sleep(), coefficients="Days")


def test_random_effects_and_groups_of_every_predictor_are_shown() -> None:
    data = mixfit.datasets.load("salamanders")
    fit = mixfit.mixed("count ~ mined + (1 | site)", data, family="truncated_poisson", zi="~ mined + (1 | spp)").fit()
    text = mixfit.table(fit).as_text()
    sd = fit.varcorr("zi").components[0].sd.item()
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("zi, spp: SD (Intercept)")] == [
        f"{sd:.3f}"
    ]
    groups = [line.split()[1:] for line in text.splitlines() if line.startswith("Groups:")]
    assert groups == [["site", "23"], ["spp", "7"]]
    assert fit.summary().groups == {"site": 23, "spp": 7}
