"""Normal quantile-quantile plots of residuals and random effects."""

from __future__ import annotations

import numpy as np
import pytest

import mixfit
from mixfit.errors import FitError
from mixfit.plots import qq_ranef, qq_residuals
from mixfit.plots.quantile_plots import normal_points, reference_line, standardized_modes
from tests.plots.fits import cbpp_fit, crossed_data, crossed_fit, singular_fit, sleep_fit


def line_of(axes: object) -> tuple[float, float]:
    """Intercept and slope of the line drawn."""
    (line,) = axes.lines
    (x, y), slope = line.get_xy1(), line.get_slope()
    return y - slope * x, slope


def test_quantiles_and_line_of_residuals_are_those_of_r() -> None:
    axes = qq_residuals(sleep_fit())
    points = axes.collections[0].get_offsets()
    # qqnorm and qqline of resid(m, scaled = TRUE), lme4 1.1-31
    np.testing.assert_allclose(
        points[[0, 1, 89, 179], 0], [-2.77292129, -2.39397980, -0.00696291, 2.77292129], atol=1e-8
    )
    np.testing.assert_array_equal(points[:, 1], np.sort(sleep_fit().residuals("scaled")))
    np.testing.assert_allclose(line_of(axes), [0.0000022, 0.6870377], atol=5e-6)
    assert axes.get_ylabel() == "scaled residual"


def test_few_points_are_placed_as_ppoints_does() -> None:
    # qnorm(ppoints(4))
    x, y = normal_points(np.array([4.0, 2.0, 3.0, 1.0]))
    np.testing.assert_allclose(x, [-1.04913140, -0.29930691, 0.29930691, 1.04913140], atol=1e-8)
    assert y.tolist() == [1.0, 2.0, 3.0, 4.0]


def test_other_lines() -> None:
    assert line_of(qq_residuals(sleep_fit(), line="identity")) == (0.0, 1.0)
    assert len(qq_residuals(sleep_fit(), line=None).lines) == 0
    with pytest.raises(FitError, match="line is 'quartiles'"):
        qq_residuals(sleep_fit(), line="robust")  # type: ignore[arg-type]


def test_kinds_of_residuals() -> None:
    axes = qq_residuals(cbpp_fit(), "deviance")
    np.testing.assert_array_equal(axes.collections[0].get_offsets()[:, 1], np.sort(cbpp_fit().residuals("deviance")))
    assert axes.get_ylabel() == "deviance residual"


def test_standardized_modes_have_the_variance_that_dense_algebra_gives() -> None:
    """b_hat = G Z'V^{-1}(y - X beta), so that Var(b_hat) = G Z'V^{-1}Z G at known beta."""
    fit, data = crossed_fit(), crossed_data()
    Z = fit.model.exog_re.toarray()
    blocks = fit.varcorr()
    n_g, n_h = len(fit.ranef()["g"]), len(fit.ranef()["h"])
    G = np.zeros((2 * n_g + n_h, 2 * n_g + n_h))
    G[: 2 * n_g, : 2 * n_g] = np.kron(np.eye(n_g), blocks["g"].to_numpy())
    G[2 * n_g :, 2 * n_g :] = np.eye(n_h) * blocks["h"].to_numpy()
    V = Z @ G @ Z.T + np.diag(fit.scale / data["w"])
    variance = np.diagonal(G @ Z.T @ np.linalg.solve(V, Z @ G))
    modes = G @ Z.T @ np.linalg.solve(V, data["y"] - data["o"] - fit.model.exog @ fit.params)
    wanted = modes / np.sqrt(variance)
    found = standardized_modes(fit)
    np.testing.assert_allclose(found["g"], wanted[: 2 * n_g].reshape(n_g, 2), rtol=1e-6)
    np.testing.assert_allclose(found["h"].to_numpy().ravel(), wanted[2 * n_g :], rtol=1e-6)


def test_standardized_modes_of_sleepstudy() -> None:
    # ranef(m)$Subject / sqrt(VarCorr(m) - postVar) of lme4 1.1-31
    np.testing.assert_allclose(standardized_modes(sleep_fit())["Subject"].loc["309"], [-1.87064, -1.58008], rtol=1e-5)


@pytest.mark.parametrize("standardize", [True, False])
def test_random_effects_are_drawn_a_panel_a_column(standardize: bool) -> None:
    fit = crossed_fit()
    drawn = qq_ranef(fit, standardize=standardize)
    assert [axes.get_title() for axes in drawn] == ["(Intercept) | g", "x | g", "(Intercept) | h"]
    frames = standardized_modes(fit) if standardize else fit.ranef()
    columns = [frames["g"]["Intercept"], frames["g"]["x"], frames["h"]["Intercept"]]
    for axes, column in zip(drawn, columns, strict=True):
        x, y = normal_points(column.to_numpy())
        np.testing.assert_array_equal(axes.collections[0].get_offsets(), np.column_stack([x, y]))
        np.testing.assert_allclose(line_of(axes), reference_line(column.to_numpy(), "quartiles"))
        assert axes.get_ylabel() == ("standardized mode" if standardize else "conditional mode")


@pytest.mark.parametrize("standardize", [True, False])
def test_a_variance_of_zero_is_said(standardize: bool) -> None:
    fit = singular_fit()
    assert fit.is_singular
    (axes,) = mixfit.plots.qq_ranef(fit, standardize=standardize)
    assert [text.get_text() for text in axes.texts] == ["The estimated variance is zero."]
    assert len(axes.collections) == 0
