"""Likelihood profiles against what defines them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import ConvergenceWarning
from mixfit.inference.profiles.constrained import LowerDevianceError
from mixfit.inference.profiles.ends import find_end
from mixfit.inference.profiles.focal import LikelihoodAround
from mixfit.inference.profiles.parameters import parameter_values, parameters
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.surface import LinearSurface
from mixfit.results.generalized import GeneralizedResults
from tests.inference.dense import deviance
from tests.inference.fits import fitted, herds

if TYPE_CHECKING:
    from mixfit.inference.profiles.curves import LikelihoodProfile


@cache
def sleepstudy_profile() -> LikelihoodProfile:
    return fitted("sleepstudy").profile()


def test_rows_are_minima_with_one_parameter_held() -> None:
    """Dense deviance d^ + zeta^2 at every row, and stationary in all parameters but the profiled one."""
    profile, design = sleepstudy_profile(), fitted("sleepstudy").model.design
    names = list(profile.estimates.index)
    base = deviance(design, profile.estimates.to_numpy())
    frame = profile.frame[profile.frame[".zeta"].abs() < 2.5]
    for row in frame.iloc[::3].to_dict("records"):
        at = np.array([row[name] for name in names])
        held = names.index(row[".par"])
        assert at[held] == pytest.approx(row[".focal"])
        assert deviance(design, at) - base == pytest.approx(row[".zeta"] ** 2, abs=2e-5)
        step = 1e-4 * np.array([20.0, 5.0, 0.3, 1.0, 7.0, 1.5])
        for i in range(len(names)):
            ahead, behind = at.copy(), at.copy()
            ahead[i] += step[i]
            behind[i] -= step[i]
            slope = (deviance(design, ahead) - deviance(design, behind)) / 2e-4
            if i != held:
                assert abs(slope) < 0.02, (row[".par"], names[i])


def test_zeta_is_monotone_and_smooth() -> None:
    profile = sleepstudy_profile()
    for name, curve in profile.curves.items():
        assert (np.diff(curve.values) > 0).all()
        assert (np.diff(curve.zeta) > 0).all()
        grid = profile.curve(name, points=401)
        change = np.diff(grid["zeta"])
        assert (change > 0).all()
        # Slopes do not jump: the second difference is a small part of the first.
        assert np.abs(np.diff(change)).max() < 0.1 * change.max()
        assert_allclose(grid["abs_zeta"], grid["zeta"].abs())


def test_zeta_between_its_points_is_that_of_finer_profiles() -> None:
    coarse, fine = sleepstudy_profile(), fitted("sleepstudy").profile(points=20)
    for name, curve in fine.curves.items():
        # A correlation of 1 is at zeta = 2.98, where the slope of the curve is no longer exact.
        inner = np.abs(curve.zeta) < 2.5
        assert_allclose(coarse.zeta(name, curve.values[inner]), curve.zeta[inner], rtol=0, atol=2e-4)


def test_forward_and_backward_curves_are_inverse() -> None:
    profile = sleepstudy_profile()
    zeta = np.linspace(-2.5, 2.5, 25)
    for name in profile.parameters:
        assert_allclose(profile.zeta(name, profile.value(name, zeta)), zeta, rtol=0, atol=1e-9)
        assert profile.value(name, 0.0) == pytest.approx(profile.estimates[name])
        assert np.isnan(profile.zeta(name, 1e9))
    assert profile.value("cor((Intercept),Days|Subject)", 3.5) == 1.0


def test_frame_is_laid_out_as_lme4s() -> None:
    frame = sleepstudy_profile().frame
    names = ["sd((Intercept)|Subject)", "sd(Days|Subject)", "cor((Intercept),Days|Subject)", "sigma"]
    assert frame.columns.tolist() == [".zeta", *names, "Intercept", "Days", ".par", ".focal"]
    assert list(dict.fromkeys(frame[".par"])) == [*names, "Intercept", "Days"]
    # as.data.frame(profile(lmer(Reaction ~ Days + (Days | Subject), sleepstudy))): its estimates, and a point far out
    maximum = frame[frame[".zeta"] == 0.0].iloc[0]
    assert_allclose(maximum[names[:1] + names[2:4]].astype(float), [23.7805585, 0.08131960, 25.59182], rtol=1e-5)
    assert sleepstudy_profile().zeta(names[0], 13.8182608) == pytest.approx(-2.08986457, abs=1e-4)


def test_a_reml_fit_has_the_profile_of_maximum_likelihood() -> None:
    ml = fitted("sleepstudy").model.fit(reml=False)
    assert_allclose(
        ml.conf_int(method="profile", which="random"),
        fitted("sleepstudy").conf_int(method="profile", which="random"),
        rtol=1e-5,
    )
    assert_allclose(sleepstudy_profile().estimates, parameter_values(ml), rtol=1e-4)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units_of_the_response_and_of_covariates_do_not_matter(factor: float) -> None:
    data = mixfit.datasets.load("sleepstudy")
    scaled = data.assign(Reaction=data["Reaction"] * factor, Days=data["Days"] / factor)
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", scaled).fit()
    limits, expected = fit.conf_int(method="profile"), fitted("sleepstudy").conf_int(method="profile")
    unit = np.array([factor, factor**2, 1.0, factor, factor, factor**2])[:, None]
    assert_allclose(limits / unit, expected, rtol=1e-6)
    assert_allclose(fit.conf_int(which="random") / unit[:4], fitted("sleepstudy").conf_int(which="random"), rtol=1e-5)


def test_the_order_of_columns_does_not_matter() -> None:
    """The correlation and each standard deviation are profiled in coordinates of their own."""
    data = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + (0 + Days + one | Subject)", data.assign(one=1.0)).fit()
    limits, expected = fit.conf_int(method="profile"), fitted("sleepstudy").conf_int(method="profile")
    assert_allclose(limits.iloc[[1, 0, 2, 3, 4, 5]], expected, rtol=1e-5)


def test_weights_and_offset_enter() -> None:
    data = mixfit.datasets.load("sleepstudy")
    plain = fitted("sleepstudy_int").conf_int(method="profile")
    shifted = mixfit.mixed("Reaction ~ Days + (1 | Subject)", data, offset=3.0 * data["Days"]).fit()
    difference = plain - shifted.conf_int(method="profile")
    assert_allclose(difference, [[0, 0], [0, 0], [0, 0], [3, 3]], rtol=0, atol=1e-4)
    weighted = mixfit.mixed("Reaction ~ Days + (1 | Subject)", data, weights=np.full(180, 4.0)).fit()
    assert_allclose(weighted.conf_int(method="profile") / plain, [[1, 1], [2, 2], [1, 1], [1, 1]], rtol=1e-5)


def test_a_lower_deviance_restarts_the_profile() -> None:
    fit = herds()
    worse = GeneralizedResults(fit.model, replace(fit.estimate, beta=fit.estimate.beta + 0.3))
    with pytest.warns(ConvergenceWarning, match="lower by"):
        limits = worse.conf_int(method="profile")
    assert_allclose(limits, fit.conf_int(method="profile"), rtol=1e-4)


def test_a_linear_surface_restarts_at_the_better_minimum() -> None:
    fit = fitted("sleepstudy")
    assembly, known = fit.model._assembly, parameters(fit.model)
    elsewhere = evaluate(assembly.problem, [0.5 * np.eye(2)], reml=False)
    around = LikelihoodAround(known, LinearSurface(assembly, elsewhere))
    focal = around.focal(known[3])
    assert focal is not None
    with pytest.raises(LowerDevianceError) as better:
        find_end(focal.path, focal.scale, 1.96, 1)
    again = around.restarted(better.value)
    assert again.center.value == pytest.approx(fit.model.fit(reml=False).deviance, abs=1e-8)
