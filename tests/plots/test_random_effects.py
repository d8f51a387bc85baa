"""The caterpillar plot: intervals, order and labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import FitError
from mixfit.plots import caterpillar
from tests.plots.fits import cbpp_fit, crossed_fit, sleep_fit

# Of lme4 1.1-31: rownames(ranef(m)$Subject)[order(ranef(m)$Subject[, 1])]
ORDER = [str(s) for s in (309, 310, 370, 349, 350, 334, 335, 371, 308, 369, 351, 332, 372, 333, 352, 331, 330, 337)]


def drawn(axes: object) -> pd.DataFrame:
    """Ends of the intervals and points, from bottom to top, by the label beside them."""
    segments = np.array(axes.collections[0].get_segments())
    points = axes.lines[-1].get_xydata()
    assert (segments[:, :, 1] == np.arange(len(segments))[:, None]).all()
    assert (points[:, 1] == np.arange(len(segments))).all()
    frame = {"low": segments[:, 0, 0], "mode": points[:, 0], "high": segments[:, 1, 0]}
    return pd.DataFrame(frame, index=[t.get_text() for t in axes.get_yticklabels()])


def test_intervals_of_sleepstudy_are_those_of_lme4() -> None:
    intercept, days = (drawn(axes) for axes in caterpillar(sleep_fit()))
    assert intercept.index.tolist() == ORDER
    assert days.index.tolist() == ORDER, "every panel in the order of the first column"
    # ranef(m, condVar = TRUE) of lme4 1.1-31: modes and, the same for all, conditional standard deviations
    modes = np.array([[-40.398738, 34.890487], [-8.619681, 8.628265]])
    for frame, mode, sd in zip((intercept, days), modes, (12.070857, 2.304839), strict=True):
        np.testing.assert_allclose(frame.loc[["309", "337"], "mode"], mode, rtol=2e-5)
        np.testing.assert_allclose(frame["high"] - frame["mode"], 1.959964 * sd, rtol=2e-5)
        np.testing.assert_allclose(frame["mode"] - frame["low"], 1.959964 * sd, rtol=2e-5)


def test_other_orders() -> None:
    modes = sleep_fit().ranef()["Subject"]
    by_days = modes.index[np.argsort(modes["Days"])].tolist()
    each = [drawn(axes).index.tolist() for axes in caterpillar(sleep_fit(), sort="each")]
    assert each == [ORDER, by_days]
    assert [drawn(axes).index.tolist() for axes in caterpillar(sleep_fit(), sort="Days")] == [by_days] * 2
    as_they_are = drawn(caterpillar(sleep_fit(), sort=False)[0])
    assert as_they_are.index.tolist() == modes.index.tolist()[::-1], "from top to bottom"
    np.testing.assert_allclose(as_they_are["mode"], modes["Intercept"].to_numpy()[::-1])


def test_the_level_of_the_intervals() -> None:
    wide, narrow = (drawn(caterpillar(cbpp_fit(), level=level)[0]) for level in (0.95, 0.5))
    widths = [frame["high"] - frame["low"] for frame in (wide, narrow)]
    np.testing.assert_allclose(widths[0] / widths[1], 1.959964 / 0.6744898, rtol=1e-6)


def test_factors_and_columns_are_named() -> None:
    titles = ["(Intercept) | g", "x | g", "(Intercept) | h"]
    assert [axes.get_title() for axes in caterpillar(crossed_fit())] == titles
    assert [axes.get_title() for axes in caterpillar(crossed_fit(), ["h", "g"])] == [titles[2], *titles[:2]]
    assert caterpillar(crossed_fit(), "h")[0].get_xlabel() == "conditional mode, 95% interval"


def test_many_levels_have_few_labels() -> None:
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(1500), 3)
    data = pd.DataFrame({"y": rng.normal(size=1500)[g] + rng.normal(size=4500), "g": g})
    fit = mixfit.mixed("y ~ 1 + (1|g)", data).fit()
    (axes,) = caterpillar(fit)
    modes = fit.ranef()["g"]["Intercept"].sort_values()
    np.testing.assert_allclose(axes.lines[-1].get_xdata(), modes)
    ticks = axes.get_yticks()
    assert 20 < len(ticks) < 60
    assert [t.get_text() for t in axes.get_yticklabels()] == modes.index[ticks].astype(str).tolist()


def test_what_does_not_exist_is_named() -> None:
    with pytest.raises(FitError, match="no grouping factor 'herd'; it has 'Subject'"):
        caterpillar(sleep_fit(), "herd")
    with pytest.raises(FitError, match=r"no random column 'day'; it has '\(Intercept\)', 'Days'"):
        caterpillar(sleep_fit(), sort="day")
    with pytest.raises(FitError, match="sort is True, False"):
        caterpillar(sleep_fit(), sort=2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        caterpillar(sleep_fit(), level=95)


def test_effects_without_variance_have_an_axis() -> None:
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"g": np.repeat(list("abcdef"), 5), "x": rng.normal(size=30)})
    # The means of the groups are all the same, and so are the slopes.
    noise = rng.normal(size=(6, 5))
    data["y"] = (noise - noise.mean(axis=1, keepdims=True)).ravel()
    fit = mixfit.mixed("y ~ x + (1 | g) + (0 + x | g)", data).fit()
    zero = [axes for axes in caterpillar(fit) if not np.any(axes.lines[-1].get_xdata())]
    assert zero
    assert all(axes.get_xlim() == (-1.0, 1.0) for axes in zero)
