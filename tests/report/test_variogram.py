"""Semivariances by distance, of data and of the model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import DataError, FitError


def sleep() -> pd.DataFrame:
    return mixfit.datasets.load("sleepstudy")


def test_semivariances_are_means_over_pairs_of_one_group() -> None:
    frame = sleep()
    fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", frame).fit()
    table = fit.variogram("Days").frame
    sd = np.sqrt(fit.sigma**2 + fit.varcorr().components[0].vcov[0, 0])
    residual = ((frame["Reaction"] - fit.predict(re_form="population")) / sd).to_numpy().reshape(18, 10)
    for lag in range(1, 10):
        own = 0.5 * (residual[:, lag:] - residual[:, :-lag]) ** 2
        row = table.iloc[lag - 1]
        assert row["distance"] == lag
        assert row["pairs"] == own.size
        assert row["semivariance"] == pytest.approx(own.mean(), rel=1e-12)
        assert row["correlation"] == pytest.approx(1.0 - (fit.sigma / sd) ** 2, rel=1e-10)
        assert row["fitted"] == pytest.approx(1.0 - row["correlation"])


def test_an_autoregression_has_powers_of_its_correlation() -> None:
    fit = mixfit.mixed("Reaction ~ Days", sleep(), residual="ar1(Days | Subject)").fit()
    rho = fit.varcorr().residual[0].values[1]
    assert_allclose(fit.variogram("Days")["correlation"], rho ** np.arange(1, 10), rtol=1e-10)


def test_a_wrong_model_is_seen() -> None:
    """What an autoregression leaves of the data's semivariances is a fraction of what independent effects leave."""
    right = mixfit.mixed("Reaction ~ Days + ar1(0 + Days | Subject)", sleep()).fit().variogram("Days").frame
    wrong = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep()).fit().variogram("Days").frame
    left = [float((t["semivariance"] - t["fitted"]) ** 2 @ t["pairs"]) for t in (right, wrong)]
    assert left[0] < 0.2 * left[1]


def test_distances_of_places_are_euclidean_and_classes_have_as_many_pairs() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.uniform(0, 5, 200), "z": rng.uniform(0, 5, 200), "f": np.repeat(list("abcd"), 50)})
    frame["y"] = rng.normal(size=200)
    table = mixfit.mixed("y ~ 1", frame, residual="exp(x + z | f)").fit().variogram(["x", "z"], bins=7).frame
    assert len(table) == 7
    assert table["pairs"].sum() == 4 * 50 * 49 / 2
    assert table["pairs"].max() - table["pairs"].min() <= 1
    assert table["distance"].is_monotonic_increasing
    apart = np.hypot(*(np.subtract.outer(c[:50], c[:50]) for c in (frame["x"].to_numpy(), frame["z"].to_numpy())))
    assert table["distance"].iloc[0] < np.quantile(apart[np.triu_indices(50, 1)], 1 / 7) < table["distance"].iloc[1]


def test_a_column_beside_the_formula_comes_with_the_data() -> None:
    frame = sleep().assign(t=lambda f: 2.0 * f["Days"])
    fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", frame).fit()
    assert_allclose(fit.variogram("t", data=frame)["distance"], 2.0 * fit.variogram("Days")["distance"])
    with pytest.raises(DataError, match=r"no column 't'.*data="):
        fit.variogram("t")
    with pytest.raises(DataError, match="'Subject' there is no distance"):
        fit.variogram("Subject", data=frame.astype({"Subject": str}))


def test_other_groups_and_models_are_refused_by_name() -> None:
    fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep()).fit()
    with pytest.raises(FitError, match="no grouping factor 'herd'; it has 'Subject'"):
        fit.variogram("Days", group="herd")
