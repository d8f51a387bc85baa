"""docs/ordinal.md: every cell runs, and what the prose says of the fits is so."""

from __future__ import annotations

import numpy as np
import pytest

import mixfit
from tests.docs.pages import run


def test_what_the_page_says_of_its_fits() -> None:
    page = run("ordinal.md")
    assert not [cell.error for cell in page.cells if cell.error is not None]
    fit = page.names["fit"]
    assert round(float(np.exp(fit.params["temp[T.warm]"]))) == 21
    page.says("about 21 times those", "by a standard deviation of 1.13")
    assert float(fit.theta[0]) == pytest.approx(1.13, abs=0.005)
    assert f"{fit.params['temp[T.warm]']:.2f}" == "3.06"
    finer = fit.model.fit(n_agq=15)
    assert np.abs(finer.params - fit.params).max() < 0.01 * fit.bse.max()


def test_neither_nominal_nor_scale_effects_nor_free_thresholds_are_needed() -> None:
    names = run("ordinal.md").names
    fit = names["fit"]
    for one, other in ((fit, names["nominal"]), (fit, names["scale"]), (names["even"], fit)):
        assert mixfit.anova(one, other)["Pr(>Chisq)"].iloc[1] > 0.1


def test_words_without_an_order_say_no_more() -> None:
    names = run("ordinal.md").names
    unordered, in_order = names["unordered"], names["in_order"]
    assert unordered.aic > in_order.aic
    assert unordered.varcorr().to_frame().sdcor[2] > 0.99
    assert (
        unordered.coefficients.loc["good"]
        .drop("Intercept")
        .gt(unordered.coefficients.loc["fair"].drop("Intercept"))
        .all()
    )


def test_averages_over_judges_are_less_extreme() -> None:
    page = run("ordinal.md")
    fit, new = page.names["fit"], page.names["new"]
    population, marginal = (fit.predict(new, re_form=form) for form in ("population", "marginal"))
    assert (marginal.max(axis=1) < population.max(axis=1)).all()
